/**
 * A panel on a node: a display widget that shows what the server says about the node's settings.
 *
 * Settings change by hand, by undo, by a loaded workflow or on a linked node, and no event tells of
 * all of these. So a slow pulse compares what a panel would ask with what it has asked.
 */
import {app} from "../../scripts/app.js";
import {api} from "../../scripts/api.js";
import {setting, translated, words} from "./language.js";

const say = words("panel");
const PULSE = 300; // milliseconds; what has not changed for one of them is asked
/** @type {Makers} What our nodes get when they are made, by their kind. */
export const makers = {};
app.registerExtension({
	name: "Hypernet.Panels",
	nodeCreated: (node) => makers[node.comfyClass]?.(node),
});

/** @type {Set<() => void>} */
const looks = new Set();
/** @type {Set<() => void>} */
const renewals = new Set();
let pulse = 0;

/** @type {AddsWidget} */
export function addWidget(node, name, kind, content, how) {
	const widget = node.addDOMWidget(name, kind, content, {
		serialize: false,
		getValue: () => "",
		setValue: () => {},
		...how,
	});
	widget.serialize = false; // in the workflow; the option above is for the prompt
}

/** As large as what is on it needs, at least. Nodes 2.0 measures by itself. */
export function makeRoom(/** @type {EditorNode} */ node) {
	if (setting("Comfy.VueNodes.Enabled")) return;
	const [wide, high] = node.computeSize();
	node.setSize([Math.max(node.size[0], wide), Math.max(node.size[1], high)]);
}

export const isOurs = (kind) => String(kind).startsWith("Hypernet");

/** @type {AddsPanel} */
export function addPanel(node, {name = "hypernet_panel", height, margin, grows = true, ...asks}) {
	const {question, show} = asks;
	if (setting("Hypernet.Panels") === false) return;
	const place = element("div", {class: "hypernet-panel"});
	const said = element("p", {class: "hypernet-said", role: "status"});
	const box = element("div", {class: "hypernet-box"}, said, place);
	box.style.setProperty("--hypernet-height", `${height}px`);
	addWidget(node, name, "HYPERNET_PANEL", box, {
		...(margin ? {margin} : {}),
		getMinHeight: () => height,
		...(grows ? {} : {getMaxHeight: () => height}),
	});
	makeRoom(node);
	let asked = "";
	let seen = "";

	async function look() {
		const wanted = question() ?? say.linked;
		const key = JSON.stringify(wanted);
		if (key === asked) return;
		if (key !== seen) {
			seen = key; // perhaps it is still being typed
			return;
		}
		asked = key;
		place.classList.add("hypernet-old");
		try {
			if (typeof wanted === "string") {
				tell(wanted);
				return;
			}
			const found = await ask(
				wanted.path,
				wanted.also ? {...wanted.body, ...wanted.also()} : wanted.body,
			);
			if (key !== asked) return;
			tell("");
			await show(found, place);
		} catch (fault) {
			if (key === asked) tell(fault.message, true);
		} finally {
			if (key === asked) place.classList.remove("hypernet-old");
		}
	}

	function tell(sentence, wrong = false) {
		said.textContent = sentence;
		box.classList.toggle("hypernet-wrong", wrong);
		place.hidden = Boolean(sentence) && !(wrong && place.childElementCount);
	}

	const renew = () => (asked = "");
	renewals.add(renew);
	chain(node, "onRemoved", () => renewals.delete(renew));
	watch(node, look);
	return {place};
}

/**
 * Look now and then, as long as there is the node and someone to see it.
 * @type {Watches}
 */
export function watch(node, look) {
	looks.add(look);
	pulse ||= setInterval(() => document.hidden || looks.forEach((each) => each()), PULSE);
	chain(node, "onRemoved", () => {
		looks.delete(look);
		if (!looks.size) pulse = clearInterval(pulse) ?? 0;
	});
}

/** All ask again: what they show from the disk may be another by now, as after every run. */
export const renewPanels = () => renewals.forEach((renew) => renew());
for (const end of ["success", "error", "interrupted"])
	api.addEventListener(`execution_${end}`, renewPanels);

/**
 * Also call `then` where the node calls its own hook.
 * @type {Chains}
 */
export function chain(node, hook, then) {
	const before = node[hook];
	node[hook] = function (...given) {
		const found = before?.apply(this, given);
		then.apply(this, given);
		return found;
	};
}

/**
 * What the server answers, in the editor's language. Throws an Error with its sentence.
 * @type {AsksServer}
 */
export async function ask(path, body) {
	const how = body && {
		method: "POST",
		body: JSON.stringify(body),
		headers: {"Content-Type": "application/json"},
	};
	const answer = await api.fetchApi(`/hypernet/${path}`, how || {});
	const found = await translated(await answer.json().catch(() => ({})));
	if (!answer.ok) throw new Error(found.error ?? `${answer.status} ${answer.statusText}`);
	return found;
}

/** The names of inputs that a link gives. */
export const linkedInputs = (/** @type {EditorNode} */ node) =>
	new Set(
		(node.inputs ?? []).filter((_, slot) => node.isInputConnected(slot)).map((input) => input.name),
	);

/**
 * The values of these widgets; nothing where a link gives one of them.
 * @type {ReadsWidgets}
 */
export function widgetValues(node, names) {
	const linked = linkedInputs(node);
	const known = (node.widgets ?? []).filter(({name}) => names.includes(name) && !linked.has(name));
	const found = Object.fromEntries(known.map(({name, value}) => [name, value]));
	return Object.keys(found).length < names.length ? undefined : found;
}

/**
 * The node that feeds this input, behind reroutes and whatever `through` names; else undefined.
 * @type {FindsUpstream}
 */
export function upstream(node, name, through = {}) {
	let at = node;
	for (let input = name; input !== undefined; input = through[at.comfyClass]) {
		const slot = at.inputs?.findIndex((each) => each.name === input) ?? -1;
		let found = slot < 0 ? undefined : at.getInputNode?.(slot);
		while (found?.type === "Reroute") found = found.getInputNode(0);
		if (!found) return undefined;
		at = found;
	}
	return at;
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = new Set(["svg", "rect", "line", "path", "circle", "text", "title", "g"]);

/**
 * An element with attributes and children; strings become text, never markup.
 * @type {MakesElement}
 */
export function element(kind, attributes = {}, ...children) {
	const made = SHAPES.has(kind)
		? document.createElementNS(SVG, kind)
		: document.createElement(kind);
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") made.addEventListener(name.slice(2), value);
		else if (value !== undefined && value !== false)
			made.setAttribute(name, value === true ? "" : String(value));
	}
	made.append(...children);
	return /** @type {any} */ (made); // of this kind, which the checker cannot see
}

/** @type {(label: string, attributes: {[name: string]: Attribute}) => HTMLButtonElement} */
export const button = (label, attributes) =>
	element("button", {type: "button", ...attributes}, label);

document.head.append(
	element("link", {rel: "stylesheet", href: new URL("./panel.css", import.meta.url)}),
);
