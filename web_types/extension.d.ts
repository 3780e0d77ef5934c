/** What the modules of web/ hand each other, and the functions with which they do. */

/** What a panel asks the server. */
interface Question {
	path: string;
	body?: object;
	/** Goes with the body, but is no reason to ask again. */
	also?: () => object;
}

/** What to ask now, or what to say instead; nothing where a link gives a setting. */
type Asks = (node: EditorNode) => Question | string | undefined;

type Shows<Answer> = (found: Answer, place: HTMLElement) => void | Promise<void>;

/** What a node of this kind gets when it is made. */
type Makers = {[kind: string]: (node: EditorNode) => void};

// panel.js

/** A widget that only shows: no workflow and no prompt holds it. */
type AddsWidget = (
	node: EditorNode,
	name: string,
	kind: string,
	content: HTMLElement,
	how: {getMinHeight(): number; getMaxHeight?(): number; hideOnZoom?: boolean},
) => void;

/** Nothing is returned where panels are off. */
type AddsPanel = (
	node: EditorNode,
	how: {
		/** Of its widget. */
		name?: string;
		/** Pixels. */
		height: number;
		margin?: number;
		/** Takes the room that the node has left; it does unless told otherwise. */
		grows?: boolean;
		question: () => ReturnType<Asks> | undefined;
		/** `any`: whoever shows an answer says which it is. */
		show: Shows<any>;
	},
) => {place: HTMLElement} | undefined;

type Watches = (node: EditorNode, look: () => void) => void;

type Chains = (
	node: EditorNode,
	hook: "onRemoved" | "onExecuted" | "onSerialize",
	then: Hook,
) => void;

/** `any`: whoever asks says what the answer is, one of web_types/answers.d.ts. */
type AsksServer = (path: string, body?: object) => Promise<any>;

type ReadsWidgets = (node: EditorNode, names: string[]) => {[name: string]: any} | undefined;

type FindsUpstream = (
	node: EditorNode,
	name: string,
	/** By the kind of a node: the input behind which to go on. */
	through?: {[kind: string]: string},
) => EditorNode | undefined;

/** Handlers know their event by its name. */
type Attribute = string | number | boolean | URL | undefined | ((event: any) => void);

type Elements = HTMLElementTagNameMap &
	Pick<SVGElementTagNameMap, "svg" | "rect" | "line" | "path" | "circle" | "text" | "g">;

type MakesElement = <Kind extends keyof Elements>(
	kind: Kind,
	attributes?: {[name: string]: Attribute},
	...children: (string | Node)[]
) => Elements[Kind];

// language.js

type English = typeof import("../web/words/en.mjs").default;

/** By part, what the editor says in its language. The server says facts in English. */
type Words = {
	[Part in keyof English]: Part extends "facts"
		? {[label: string]: string}
		: {[key in keyof English[Part]]: string};
};

type ReadsWords = {
	<Part extends keyof Words>(part: Part): Words[Part];
	<Key extends string>(
		tables: {[language in "en" | "zh"]: {[key in Key]: string}},
	): {
		[key in Key]: string;
	};
};

type MakesSay = <Key extends string>(
	said: {[key in Key]: string},
) => (key: Key, ...values: unknown[]) => string;

// modal.mjs

type OpensModal = (
	label: string,
	/** A class of its own, or "". */
	kind: string,
	/** What is in it, given what closes it. */
	content: (close: () => void) => (string | Node)[],
	/** When it is closed. */
	then?: () => void,
) => void;

// desk.js

type Notices = (severity: Severity, summary: string, detail: string) => void;

// pictures.js

/** What Load Dataset names; `exclude` where no other node gives it. */
interface Folder {
	folder: string;
	subfolders: boolean;
	exclude?: string;
}

// book.mjs

type LaysSideBySide = (
	runs: BookEntry[],
	states: RunAnswer[],
	told: BookSettings,
	/** When a run is no longer there. */
	then: () => void,
) => void;

type MakesColumn = (
	run: BookEntry,
	state: RunAnswer,
	checkpoints: string[],
	/** Which of the runs it is, which gives its colour. */
	place: number,
	gone: () => void,
) => Element;

// train/

/** Which run of the server's to show; null: there is none. */
type WhichRun = () => URLSearchParams | null;

type ShowsRun = (state: RunAnswer | null, fault: string) => void;

type PreviewAddress = (run: {name: string; began: number}, step: number) => string;

type PlaceAt = (line: {step: number[]}, step: number) => number;

type StepAt = (canvas: HTMLCanvasElement, curves: Curves, x: number) => number;

type DrawsCurves = (
	canvas: HTMLCanvasElement,
	curves: Curves | null,
	look: Look,
	/** The step under the pointer. */
	pointed: number | null,
) => void;

/** Colours and font of the curves. */
interface Look {
	loss: string;
	probe: string;
	rate: string;
	text: string;
	grid: string;
	font: string;
}

/** With a widget at least. */
type SortedNode = EditorNode & {widgets: Widget[]};

/** Of a section of Train Hypernet's settings. */
interface Header {
	section: string;
	widget: Widget;
}
