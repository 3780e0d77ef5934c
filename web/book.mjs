/** The book of runs: a sidebar tab with all of them, and a dialog with some side by side. */
import {app} from "../../scripts/app.js";
import {api} from "../../scripts/api.js";
import {notice} from "./desk.js";
import {fresh, saying, words} from "./language.js";
import {ask, button, element, renewPanels} from "./panel.js";

/** @type {typeof import("./train/words.mjs")} */
const said = await import(fresh("./train/words.mjs"));
const {say: tell, captionOf, duration, short, text, whole} = said;
const {openModal} = await import(fresh("./modal.mjs"));
const {ticks} = await import(fresh("./train/curve.mjs"));
const {previewAddress} = await import(fresh("./train/source.mjs"));
/** @type {typeof import("./words/book.mjs").default} */
const table = (await import(fresh("./words/book.mjs"))).default;
const say = saying(words(table));
const desk = words("desk");
const MOST = 8; // runs in one comparison
const OVER = ["finished", "interrupted", "failed", "unfinished", "damaged"];
const BETWEEN = 1000; // milliseconds between two looks into the folder
const OUTLIERS = 0.02; // of a curve's values

/** @type {<Given extends any[]>(act: (...given: Given) => Promise<void>) => typeof act} */
const tried =
	(act) =>
	(...given) =>
		act(...given).catch((fault) => inform("error", desk.failed, fault.message));

/**
 * A toast, or where a dialog would cover it, a line of that.
 * @type {Notices}
 */
function inform(severity, summary, detail) {
	const place = document.querySelector("dialog[open].hypernet-book .hypernet-said");
	if (place) place.textContent = detail;
	else notice(severity, summary, detail);
}

document.head.append(
	element("link", {rel: "stylesheet", href: new URL("./book.css", import.meta.url)}),
);

/** Show the book in the sidebar. */
export function open(/** @type {HTMLElement} */ place) {
	const book = new Book();
	place.replaceChildren(book.root);
	book.read();
	const hear = (/** @type {CustomEvent<StepEvent>} */ event) => {
		if (book.root.isConnected) book.hear(event.detail);
		else api.removeEventListener("hypernet.step", hear);
	};
	api.addEventListener("hypernet.step", hear);
}

class Book {
	constructor() {
		/** @type {BookEntry[]} */
		this.runs = [];
		/** @type {Set<string>} the names of those that are ticked */
		this.ticked = new Set();
		this.timer = 0;
		this.find = element("input", {
			type: "search",
			placeholder: say("find"),
			"aria-label": say("find"),
			oninput: () => this.show(),
		});
		const renew = button("⟳", {
			title: say("renew"),
			"aria-label": say("renew"),
			onclick: () => this.read(),
		});
		this.said = element("p", {class: "hypernet-said", role: "status"});
		/** @type {HTMLLIElement[]} those of the list */
		this.lines = [];
		this.list = element("ul", {});
		this.compare = button("", {onclick: () => this.open(this.ticked)});
		this.root = element(
			"div",
			{class: "hypernet-box hypernet-book"},
			element("div", {class: "hypernet-row"}, this.find, renew),
			this.said,
			this.list,
			this.compare,
		);
	}

	async read() {
		this.timer = 0;
		try {
			/** @type {{runs: BookEntry[]}} */
			const {runs} = await ask("book");
			this.runs = runs;
			this.said.textContent = runs.length ? "" : say("none");
		} catch (fault) {
			this.said.textContent = fault.message;
		}
		const names = new Set(this.runs.map((run) => run.name));
		this.ticked = new Set([...this.ticked].filter((name) => names.has(name)));
		this.show();
	}

	/** A training has news: its numbers at once, and all else when it begins or ends. */
	hear(/** @type {StepEvent} */ {name, state, step, total}) {
		const run = this.runs.find((each) => each.name === name);
		const isKnown = run && !OVER.includes(state);
		if (run) {
			Object.assign(run, {state, step, steps: total});
			this.lineOf(name)?.querySelector(".hypernet-facts")?.replaceChildren(factsOf(run));
		}
		if (!isKnown) this.timer ||= setTimeout(() => this.read(), BETWEEN);
	}

	show() {
		const wanted = this.find.value.trim().toLowerCase();
		const found = this.runs.filter((run) => run.name.toLowerCase().includes(wanted));
		const had = document.activeElement;
		const at = had?.closest("li")?.dataset.name;
		this.lines = found.map((run) => this.line(run));
		this.list.replaceChildren(...this.lines);
		this.count();
		/** @type {HTMLElement | null | undefined} */
		const next = had && this.lineOf(at)?.querySelector(had.tagName);
		next?.focus(); // what had it is gone
	}

	lineOf(/** @type {string | undefined} */ name) {
		return this.lines.find((each) => each.dataset.name === name);
	}

	line(/** @type {BookEntry} */ run) {
		const tick = element("input", {
			type: "checkbox",
			checked: this.ticked.has(run.name),
			"aria-label": run.name,
			onchange: () => {
				this.ticked[tick.checked ? "add" : "delete"](run.name);
				this.count();
			},
		});
		return element(
			"li",
			{"data-name": run.name},
			tick,
			picture(run, run.preview),
			element(
				"div",
				{},
				button(run.name, {onclick: () => this.open(new Set([run.name]))}),
				element("div", {class: "hypernet-facts"}, factsOf(run)),
			),
		);
	}

	open(/** @type {Set<string>} */ names) {
		const runs = this.runs.filter((run) => names.has(run.name));
		compare(runs, () => this.read());
	}

	count() {
		const {size} = this.ticked;
		this.compare.textContent = say("compare", size);
		this.compare.disabled = size < 1 || size > MOST;
	}
}

const compare = tried(async (/** @type {BookEntry[]} */ runs, /** @type {() => void} */ then) => {
	const names = runs.map((run) => run.name);
	const [told, ...states] = await Promise.all([
		ask("book/settings", {names}),
		...names.map((name) => ask(`runs/state?${new URLSearchParams({name})}`)),
	]);
	sideBySide(runs, states, told, then);
});

function factsOf(/** @type {BookEntry} */ {state, step, steps, smoothed, seconds}) {
	const known = state in table.en ? say(/** @type {any} */ (state)) : text[state];
	const facts = [known, tell("count", whole(step), whole(steps))];
	if (smoothed != null) facts.push(`${text.loss} ${short(smoothed)}`);
	if (seconds != null) facts.push(duration(seconds));
	return facts.join(" · ");
}

/** The preview of a run after that step; an empty place where there is none. */
function picture(/** @type {{name: string, began?: number}} */ run, /** @type {any} */ step) {
	const unseen = element("span", {class: "hypernet-unseen"});
	const {name, began = 0} = run;
	if (step == null) return unseen;
	const seen = element("img", {
		onerror: () => seen.replaceWith(unseen),
		src: previewAddress({name, began}, step),
		alt: say("preview", name, whole(step)),
		loading: "lazy",
	});
	return seen;
}

// Side by side

/** @type {LaysSideBySide} */
function sideBySide(runs, states, told, then) {
	const label = runs.map((run) => run.name).join(" · ");
	openModal(label, "hypernet-book", (close) => {
		const gone = () => {
			then();
			close();
		};
		const columns = runs.map((run, place) =>
			columnOf(run, states[place], told.checkpoints[place], place, gone),
		);
		return [
			element("p", {class: "hypernet-said", role: "status"}),
			element("div", {class: "hypernet-columns"}, ...columns),
			element("div", {class: "hypernet-plots"}, ...plots(states)),
			settings(runs, told.rows),
			button(desk.close, {onclick: close}),
		];
	});
}

/**
 * A run with its preview, and what can be done with it.
 * @type {MakesColumn}
 */
function columnOf(run, state, checkpoints, place, gone) {
	const {name} = run;
	const live = !OVER.includes(run.state);
	const previews = state.previews ?? [];
	const newest = previews.at(-1);
	const shown = element("div", {class: "hypernet-preview"}, picture(state, newest));
	const caption = element("output", {}, newest == null ? "" : captionOf(newest));
	const slider = element("input", {
		type: "range",
		min: 0,
		max: previews.length - 1,
		value: previews.length - 1,
		hidden: previews.length < 2,
		"aria-label": text.previews,
		oninput: () => {
			const step = previews[Number(slider.value)];
			shown.replaceChildren(picture(state, step));
			caption.textContent = captionOf(step);
		},
	});
	const steps = element(
		"select",
		{"aria-label": say("checkpoint"), disabled: !checkpoints.length},
		...checkpoints.map((step) => element("option", {}, step)),
	);
	steps.value = checkpoints.filter((step) => step !== "best").at(-1) ?? "best";
	return element(
		"section",
		{"aria-label": name},
		element("b", {class: `hypernet-run-${place}`}, name),
		element("div", {class: "hypernet-facts"}, factsOf(run)),
		state.why ? element("div", {class: "hypernet-fault"}, state.why) : "",
		shown,
		element("div", {class: "hypernet-row"}, slider, caption),
		button(say("workflow"), {
			disabled: newest == null,
			title: newest == null ? say("unseen") : undefined,
			onclick: () => openWorkflow(state, newest, gone),
		}),
		element(
			"div",
			{class: "hypernet-row"},
			steps,
			button(say("publish"), {
				disabled: !checkpoints.length,
				title: say("publishHint"),
				onclick: () => publish(name, steps.value),
			}),
			button(say("use"), {
				disabled: !checkpoints.length,
				title: say("useHint"),
				onclick: () => use(name, steps.value, gone),
			}),
		),
		deletion(name, live, gone),
	);
}

const openWorkflow = tried(async (state, step, then) => {
	const answer = await fetch(previewAddress(state, step));
	if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
	const name = `${state.name.split("/").at(-1)}.png`;
	then();
	app.handleFile(new File([await answer.blob()], name, {type: "image/png"}));
});

const publish = tried(async (name, step) => {
	/** @type {{said: string}} */
	const {said} = await ask("book/publish", {name, step});
	inform("success", say("publish"), said);
	renewPanels();
});

/** Publishes it, and adds a node that loads it to the graph, in the middle of what is seen. */
const use = tried(async (name, step, then) => {
	const published = await ask("book/publish", {name, step});
	const {load} = await import(fresh("./upload.mjs"));
	const [left, top, wide, high] = app.canvas.ds.visible_area;
	load(published.name, [left + wide / 2, top + high / 2]);
	renewPanels();
	then();
});

/** Asks once more before it deletes. */
function deletion(
	/** @type {string} */ name,
	/** @type {boolean} */ live,
	/** @type {any} */ then,
) {
	let sure = false;
	const made = button(say("remove"), {
		disabled: live,
		title: say(live ? "trained" : "removeHint"),
		onblur: () => {
			sure = false;
			made.textContent = say("remove");
		},
		onclick: tried(async () => {
			if (!sure) {
				sure = true;
				made.textContent = say("sure");
				return;
			}
			/** @type {{folder: string}} */
			const {folder} = await ask("book/delete", {name});
			then();
			inform("success", say("remove"), folder);
		}),
	});
	return made;
}

/** What differs is marked, and all that is shown where several runs are compared. */
function settings(/** @type {BookEntry[]} */ runs, /** @type {BookSettings["rows"]} */ rows) {
	const several = runs.length > 1;
	const only = element("input", {type: "checkbox", checked: several, onchange: () => show()});
	const place = element("div", {class: "hypernet-table", tabindex: 0});
	const line = (kind, first, rest, marked = false) =>
		element(
			"tr",
			{class: marked && "hypernet-differs"},
			element("th", {scope: "row"}, first),
			...rest.map((cell) => element(kind, {}, cell)),
		);
	const show = () => {
		const shown = rows.filter((row) => row.differs || !only.checked);
		const names = runs.map((run) => run.name);
		place.replaceChildren(
			shown.length
				? element(
						"table",
						{},
						line("th", "", names),
						...shown.map((row) => line("td", `${row.part}: ${row.name}`, row.values, row.differs)),
					)
				: say("same"),
		);
	};
	show();
	return element(
		"section",
		{},
		element("b", {}, say("settings")),
		element("label", {hidden: !several}, only, ` ${say("differing")}`),
		place,
	);
}

// Curves

const [WIDE, HIGH, LEFT, TOP, BOTTOM] = [420, 150, 54, 6, 18];

function plots(/** @type {RunAnswer[]} */ states) {
	/** @type {[string, (curves: Curves) => number[][]][]} */
	const wanted = [
		[text.loss, ({smoothed}) => [smoothed.step, smoothed.last]],
		[text.probe, ({probe}) => [probe.step, probe.mean]],
		[text.rate, ({rate}) => [rate.step, rate.last]],
	];
	return wanted.map(([label, columns]) => {
		const lines = states.map(({curves}) => (curves ? columns(curves) : [[], []]));
		return element("figure", {}, element("figcaption", {}, label), plot(lines, label));
	});
}

/**
 * Curves by step over one another: for each run its steps and its values.
 * @type {(lines: number[][][], label: string) => Element}
 */
export function plot(lines, label) {
	const steps = lines.flatMap(([step]) => step);
	if (!steps.length) return element("span", {}, "–");
	const [first, last] = [Math.min(...steps), Math.max(...steps)];
	const ends = lines.filter(([step]) => step.length).map(([, values]) => withoutOutliers(values));
	const low = Math.min(...ends.map(([end]) => end));
	const high = Math.max(...ends.map(([, end]) => end));
	const spare = (high - low || Math.abs(high) || 1) * 0.08;
	const x = (step) => LEFT + ((WIDE - LEFT - 8) * (step - first)) / (last - first || 1);
	const y = (value) =>
		TOP + ((HIGH - TOP - BOTTOM) * (high + spare - value)) / (high - low + 2 * spare);
	const at = (number) => number.toFixed(1);
	const marks = ticks(low - spare, high + spare, 4).flatMap((value) => [
		element("line", {x1: LEFT, x2: WIDE - 8, y1: at(y(value)), y2: at(y(value))}),
		element("text", {x: LEFT - 5, y: at(y(value) + 3), "text-anchor": "end"}, short(value)),
	]);
	const paths = lines.map(([step, values], place) =>
		element("path", {
			class: `hypernet-run-${place}`,
			d: values.map((value, n) => `${n ? "L" : "M"}${at(x(step[n]))} ${at(y(value))}`).join(""),
		}),
	);
	return element(
		"svg",
		{class: "hypernet-drawing", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label},
		...marks,
		...paths,
		element("text", {x: LEFT, y: HIGH - 3, "text-anchor": "start"}, whole(first)),
		element("text", {x: WIDE - 8, y: HIGH - 3, "text-anchor": "end"}, whole(last)),
	);
}

function withoutOutliers(/** @type {number[]} */ values) {
	const sorted = [...values].sort((a, b) => a - b);
	const skipped = Math.floor(sorted.length * OUTLIERS);
	return [sorted[skipped], sorted[sorted.length - 1 - skipped]];
}
