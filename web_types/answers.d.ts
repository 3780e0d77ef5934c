/** What our server answers: nodes/editor/ writes it, web/ reads it. */

/** POST schedule and learning_rate: nodes/editor/panels.py */
interface ScheduleAnswer {
	learning_rate: string;
	steps: number;
	/** (step, rate) */
	points: [number, number][];
	/** The rate jumps from one to the next instead of going there. */
	stepped: boolean;
	said: string;
}

/** POST forecast: nodes/editor/forecast.py */
interface ForecastAnswer {
	said: string;
	choices: {what: "anew" | "further" | "resume"; name: string; set: {[widget: string]: unknown}}[];
	notes: string[];
}

/** An entry of the layer structure: hypernet/tools/drawing.py */
interface Column {
	factor: string;
	/** Of the tallest one, 0 to 1. */
	share: number;
	activation: string;
	layer_norm: boolean;
	dropout: number;
}

/** POST config */
interface ConfigAnswer {
	columns: Column[];
	parameters: string;
	file: string;
	widths: string;
	warnings: string[];
}

/** GET file: (label, text) by line. */
interface FileAnswer {
	lines: [string, string][];
}

/** A picture of a folder: nodes/editor/pictures.py */
interface Picture {
	name: string;
	words: string;
	/** Are the words from a sidecar file? */
	written: boolean;
	fault: string;
	version: string;
	/** What Caption makes of the words. */
	becomes?: string;
	/** The file that the words are from; "" if they are from the picture's name. */
	source: string;
	/** The name of its mask; "" if it has none. */
	mask: string;
	/** Why it cannot be opened, as far as that is known. */
	unreadable: string;
	/** The lines of Load Dataset's `exclude` that mean it. */
	excluded: string[];
}

/** POST pictures */
interface PicturesAnswer {
	total: number;
	found: number;
	pictures: Picture[];
	tags: [string, number][];
	notes: string[];
	/** Of the whole folder, but for those that are excluded. */
	captioned: number;
	faults: number;
	excluded: number;
	/** Lines of `exclude` that mean nothing. */
	unmatched: string[];
}

/** A run of GET book: hypernet/runs/book/entries.py */
interface BookEntry {
	name: string;
	state: Stage | "damaged";
	why: string;
	step: number;
	steps: number | null;
	loss: number | null;
	smoothed: number | null;
	probe: number | null;
	seconds: number | null;
	/** Seconds since 1970. */
	changed: number;
	/** In models/hypernetworks; "" if there is none. */
	network: string;
	/** The step of the last one. */
	preview: number | null;
	model: string;
	learning_rate: string;
	pictures: number | null;
}

/** POST book/settings, for several runs in the order in which they were asked for. */
interface BookSettings {
	rows: {part: string; name: string; values: string[]; differs: boolean}[];
	/** Of each run: steps, and "best". */
	checkpoints: string[][];
}

/** By column, one entry a point: hypernet/runs/history.py says which columns a curve has. */
type Line<Columns extends string> = {[column in "step" | Columns]: number[]};

interface Curves {
	loss: Line<"low" | "high">;
	smoothed: Line<"last">;
	rate: Line<"last">;
	probe: Line<"mean">;
}

type Stage =
	| "none"
	| "unfinished"
	| "preparing"
	| "training"
	| "pausing"
	| "paused"
	| "stopping"
	| "finishing"
	| "finished"
	| "interrupted"
	| "failed";

/** GET runs/state: nodes/editor/trainings.py. Where there is no run, only the first two. */
interface RunAnswer {
	state: Stage;
	name: string;
	step?: number;
	total?: number | null;
	began?: number;
	notes?: {step: number; text: string}[];
	why?: string;
	curves?: Curves;
	previews?: number[];
	/** Updates per second. */
	speed?: number | null;
	seconds?: number | null;
	seconds_left?: number | null;
	/** Bytes. */
	memory?: {used: number; total: number} | null;
}

/** The event hypernet.step: nodes/train/live.py */
interface StepEvent {
	node: string;
	name: string;
	asked?: string;
	state: Stage;
	step: number;
	total: number;
}
