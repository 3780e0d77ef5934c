/**
 * What a training looks like on its node: state → page. Everything is in a shadow root, so that no
 * style of ours reaches the editor and none of its own reaches us but the theme's variables.
 */
import {fresh, setting} from "../language.js";
import {element} from "../panel.js";

const {duration, say, short, text, whole} = await import(fresh("./words.mjs"));
const {draw, placeAt, stepAt} = await import(fresh("./curve.mjs"));
const {Source} = await import(fresh("./source.mjs"));
const {Strip} = await import(fresh("./strip.mjs"));
const GIGABYTE = 2 ** 30;
const LIVELY = ["preparing", "training", "pausing", "paused", "stopping", "finishing"];
/** @type {{ [line: string]: [curve: keyof Curves, column: string] }} */
const LINES = {loss: ["smoothed", "last"], probe: ["probe", "mean"], rate: ["rate", "last"]};

export class View {
	/** @type {(root: HTMLElement, which: WhichRun) => void} */
	constructor(root, which) {
		/** @type {RunAnswer | null} */
		this.state = null;
		/** @type {number | null} the step under the pointer */
		this.pointed = null;
		this.frame = 0;
		this.onScreen = false;
		this.ended = new AbortController();
		this.source = new Source(which, (state, fault) => this.show(state, fault));
		this.status = element("strong");
		this.count = element("span", {class: "count"});
		this.bar = element("progress", {max: 1});
		this.facts = element("span", {class: "facts"});
		this.buttons = element("div", {class: "buttons", role: "group"});
		this.pause = this.button(() => (isHeld(this.state?.state) ? "resume" : "pause"));
		this.stop = this.button(() => "stop");
		this.save = this.button(() => "save");
		this.legend = element("p", {class: "legend"});
		this.entries = Object.fromEntries(Object.keys(LINES).map((line) => [line, this.entry(line)]));
		this.canvas = element("canvas", {
			role: "img",
			onpointermove: (event) => this.point(event.offsetX),
			onpointerleave: () => this.point(null),
		});
		this.strip = new Strip();
		this.notes = element("ul", {class: "notes", tabindex: 0});
		this.fault = element("p", {class: "fault", role: "alert"});
		this.section = element("section");
		this.root = root;
		this.build();
		this.observe();
		this.show(null, "");
	}

	build() {
		this.section.append(
			element("header", {}, this.status, this.count, this.facts),
			this.bar,
			this.buttons,
			this.fault,
			this.legend,
			this.canvas,
			this.strip.root,
			this.notes,
			this.strip.dialog,
		);
		const style = element("link", {
			rel: "stylesheet",
			href: new URL("view.css", import.meta.url),
			onload: () => this.redraw(),
		});
		this.root.attachShadow({mode: "open"}).append(style, this.section);
		this.root.style.cssText = "position: relative; width: 100%; height: 100%;";
		this.section.addEventListener("keydown", (event) => {
			if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // Delete means no node here
		});
		this.notes.addEventListener("wheel", (event) => {
			if (this.notes.scrollHeight > this.notes.clientHeight) event.stopPropagation();
		});
		this.strip.dialog.addEventListener("wheel", (event) => event.stopPropagation());
	}

	button(wish) {
		const made = element("button", {type: "button", onclick: () => this.ask(wish())});
		this.buttons.append(made);
		return made;
	}

	entry(line) {
		const value = element("output");
		const name = element("span");
		const place = element("span", {class: `entry ${line}`}, name, value);
		this.legend.append(place);
		return {place, name, value};
	}

	async ask(what) {
		try {
			await this.source.ask(this.state?.name ?? "", what);
			this.fault.textContent = "";
		} catch (fault) {
			this.fault.textContent = fault.message;
			this.source.news();
		}
	}

	/** Fetch and draw only while the tab and the node can be seen. */
	observe() {
		const look = () => {
			const visible = this.onScreen && !document.hidden;
			this.source.setVisible(visible);
			if (visible) this.redraw();
		};
		document.addEventListener("visibilitychange", look, {signal: this.ended.signal});
		const seen = new IntersectionObserver((entries) => {
			this.onScreen = entries[entries.length - 1].isIntersecting;
			look();
		});
		const sized = new ResizeObserver(() => this.redraw());
		const themed = new MutationObserver(() => this.redraw());
		seen.observe(this.root);
		sized.observe(this.canvas);
		for (const part of [document.documentElement, document.body])
			themed.observe(part, {attributeFilter: ["style", "class"]});
		this.ended.signal.addEventListener("abort", () => {
			for (const observer of [seen, sized, themed]) observer.disconnect();
			this.source.setVisible(false);
		});
	}

	remove() {
		this.ended.abort();
	}

	/** An event has come: the step is told at once, the rest is fetched when it is time. */
	news(/** @type {StepEvent | void} */ detail) {
		if (detail && this.state && this.source.visible && detail.state === this.state.state) {
			this.showCount(detail.step, detail.total);
		}
		this.source.news();
	}

	/** @type {ShowsRun} */
	show(state, fault) {
		const kind = state?.state ?? "none";
		if (fault === "Failed to fetch") fault = text.offline;
		this.state = state;
		this.section.dataset.state = fault ? "fault" : kind;
		this.section.setAttribute("aria-label", text.view);
		this.status.textContent = fault ? "" : (text[kind] ?? kind);
		this.fault.textContent = fault || state?.why || "";
		this.showCount(state?.step, state?.total);
		this.bar.hidden = !LIVELY.includes(kind);
		this.facts.textContent = state ? facts(state).join(" · ") : "";
		this.buttons.hidden = !["training", "pausing", "paused", "stopping"].includes(kind);
		for (const each of [this.pause, this.stop, this.save]) each.disabled = kind === "stopping";
		label(this.pause, isHeld(kind) ? "resume" : "pause", "pauseHint");
		label(this.stop, "stop", "stopHint");
		label(this.save, "save", "saveHint");
		this.showNotes(state?.notes ?? []);
		this.strip.show(state);
		this.redraw();
	}

	showCount(step, total) {
		this.count.textContent = step == null || !total ? "" : say("count", whole(step), whole(total));
		this.bar.value = total ? step / total : 0;
	}

	showNotes(notes) {
		const lines = notes.map((note) => note.text).reverse(); // the newest first
		const shown = [...this.notes.children].map((each) => each.textContent);
		this.notes.hidden = !lines.length;
		this.notes.setAttribute("aria-label", text.notes);
		if (lines.join("\n") === shown.join("\n")) return; // or it would be read aloud again
		this.notes.replaceChildren(...lines.map((line) => element("li", {}, line)));
	}

	point(x) {
		const curves = this.state?.curves;
		this.pointed = x == null || !curves?.loss.step.length ? null : stepAt(this.canvas, curves, x);
		this.redraw();
	}

	redraw() {
		if (this.frame || !this.source.visible) return;
		this.frame = requestAnimationFrame(() => {
			this.frame = 0;
			const curves = this.state?.curves ?? null;
			const drawn = curves?.loss.step.length;
			this.canvas.hidden = this.legend.hidden = !drawn;
			if (drawn) {
				this.section.dataset.plots = setting("Hypernet.Plots");
				this.showLegend(curves);
				draw(this.canvas, curves, this.look(), this.pointed);
			}
			this.strip.layOut();
		});
	}

	showLegend(/** @type {Curves} */ curves) {
		const steps = curves.loss.step;
		const values = {};
		for (const [line, [curve, column]] of Object.entries(LINES)) {
			const point = placeAt(curves[curve], this.pointed ?? Infinity);
			values[line] = short(curves[curve][column][point]);
			const {place, name, value} = this.entries[line];
			name.textContent = text[line];
			value.textContent = values[line];
			place.title = text[`${line}Hint`];
		}
		this.legend.dataset.step = this.pointed == null ? "" : pointedAt(curves.loss, this.pointed);
		const ends = [steps[0], steps.at(-1)].map(whole);
		this.canvas.setAttribute(
			"aria-label",
			say("summary", ...ends, values.loss, values.probe, values.rate),
		);
	}

	/** Colours and type as the theme has them now. */
	look() {
		const colour = (line) => getComputedStyle(this.entries[line].place).color;
		const style = getComputedStyle(this.canvas);
		return {
			loss: colour("loss"),
			probe: colour("probe"),
			rate: colour("rate"),
			text: style.color,
			grid: style.borderTopColor,
			font: `10px ${style.fontFamily}`,
		};
	}
}

const day = (began) =>
	new Date(began * 1000).toLocaleString([], {dateStyle: "medium", timeStyle: "short"});

function isHeld(kind) {
	return kind === "pausing" || kind === "paused";
}

function label(button, key, hint) {
	button.textContent = text[key];
	button.title = text[hint];
}

/** "step 500 · 0.0031 – 0.21": the single losses around a step. */
function pointedAt(/** @type {Curves["loss"]} */ loss, /** @type {number} */ step) {
	const place = Math.max(0, placeAt(loss, step));
	const ends = [short(loss.low[place]), short(loss.high[place])];
	return `${say("step", whole(step))} · ${[...new Set(ends)].join(" – ")}`;
}

/** Speed, time and memory, those that are known. */
function facts(/** @type {RunAnswer} */ state) {
	const found = [];
	if (state.speed) {
		found.push(
			state.speed >= 1 ? say("speed", short(state.speed)) : say("pace", short(1 / state.speed)),
		);
	}
	if (state.seconds_left != null && LIVELY.includes(state.state)) {
		found.push(say("left", duration(state.seconds_left)));
	}
	if (state.began && !LIVELY.includes(state.state)) found.push(day(state.began)); // an old one's
	if (state.seconds != null) found.push(say("took", duration(state.seconds)));
	if (state.memory) {
		const {used, total} = state.memory;
		found.push(say("memory", (used / GIGABYTE).toFixed(1), (total / GIGABYTE).toFixed(0)));
	}
	return found;
}

/**
 * The editor shows a node's live preview in place of its picture, in Nodes 2.0 beside it, until the
 * next run, so the last one would hide the grid. No extension point drops it, so this asks the
 * editor's store, where there is one.
 */
export function showsPicture(app, /** @type {EditorNode} */ node, output) {
	if (!output?.images?.length) return;
	const {_p: stores, workflow} = app.extensionManager;
	const shown = stores?._s?.get("nodeOutput");
	shown?.revokePreviewsByLocatorId?.(workflow?.nodeToNodeLocatorId?.(node));
}
