/**
 * Train Hypernet's widgets in an order for people, rare ones in sections that open by a click.
 *
 * The editor keeps values by place: a node has its own order while it is configured and saved.
 */
import {setting, words} from "../language.js";
import {chain, linkedInputs, watch} from "../panel.js";
import {ALWAYS, SECTIONS} from "./sections.js";

const say = words("sections");
const PROMPT = 58; // pixels: the room that a node has to spare is the live view's
const OPEN = "open_sections"; // among the node's properties: names, with spaces between them

/** Sort the widgets of a node that was just made. */
export function putInOrder(/** @type {SortedNode} */ node) {
	/** @type {Widget[]} as the node's inputs */
	const places = node.widgets.filter(isSaved);
	const first = new Map(places.map((each) => [each.name, each.value]));
	const headers = Object.keys(SECTIONS).map((section) => addHeader(node, section, toggle));
	let shown = "";

	function toggle(section) {
		const open = openIn(node);
		open.has(section) ? open.delete(section) : open.add(section);
		node.properties[OPEN] = [...open].join(" ");
		look();
	}

	function look() {
		const always = setting("Comfy.Node.AlwaysShowAdvancedWidgets");
		const open = always ? new Set(Object.keys(SECTIONS)) : openIn(node);
		const linked = linkedInputs(node);
		const hidden = node.widgets.map(({name}) => {
			const section = sectionOf(name);
			return !!section && !open.has(section) && !linked.has(name);
		});
		const titles = headers.map(({section}) =>
			titleOf(section, open.has(section), changedIn(node, section, first)),
		);
		const now = [...node.widgets.map(({name}, place) => name + hidden[place]), ...titles].join();
		if (now === shown) return;
		shown = now;
		headers.forEach(({widget}, place) => (widget.label = titles[place]));
		resized(node, () => {
			node.widgets.forEach((each, place) => hide(each, hidden[place]));
			node.widgets = inOrder(node.widgets); // Nodes 2.0 looks again, too
		});
	}

	const configure = node.configure;
	node.configure = function (saved) {
		const others = this.widgets.filter((each) => !places.includes(each));
		this.widgets = [...places, ...others];
		configure.call(this, saved);
		if (saved.showAdvanced && saved.properties?.[OPEN] === undefined)
			this.properties[OPEN] = Object.keys(SECTIONS).join(" ");
		shown = "";
		const [wide, high] = this.size;
		look();
		this.setSize([wide, Math.max(high, this.computeSize()[1])]); // as it was saved
	};
	chain(node, "onSerialize", (saved) => {
		const others = node.widgets.filter((each) => !places.includes(each)); // of another extension
		saved.widgets_values = [...places, ...others.filter(isSaved)].map(asSaved);
	});
	const prompt = node.widgets.find(({name}) => name === "preview_prompt");
	if (prompt?.options) prompt.options.getMaxHeight = () => PROMPT; // or the view below would move
	look();
	node.setSize([node.size[0], node.computeSize()[1]]); // the editor left room for rare ones
	watch(node, look);
}

/** @type {(node: SortedNode, section: string, clicked: (section: string) => void) => Header} */
function addHeader(node, section, clicked) {
	const widget = node.addWidget("button", `section_${section}`, "", () => clicked(section), {
		serialize: false,
	});
	widget.serialize = false;
	return {section, widget};
}

export const sectionOf = (/** @type {string} */ name) =>
	Object.keys(SECTIONS).find((section) => SECTIONS[section].includes(name));

/** The names of the open sections. */
const openIn = (/** @type {SortedNode} */ node) =>
	new Set(
		String(node.properties[OPEN] ?? "")
			.split(" ")
			.filter((name) => name in SECTIONS),
	);

/** How many of its settings are not as they were when the node was made. */
function changedIn(/** @type {SortedNode} */ node, section, first) {
	const known = node.widgets.filter(({name}) => SECTIONS[section].includes(name));
	return known.filter(({name, value}) => first.has(name) && value !== first.get(name)).length;
}

function titleOf(section, open, changed) {
	const count = changed ? ` · ${say.changed.replace("{0}", String(changed))}` : "";
	return `${open ? "▾" : "▸"} ${say[section]}${count}`;
}

/** Always visible ones, then each header with its section, then what nobody has sorted. */
export function inOrder(/** @type {Widget[]} */ widgets) {
	const names = Object.entries(SECTIONS).flatMap(([section, inside]) => [
		`section_${section}`,
		...inside,
	]);
	const order = [...ALWAYS, ...names];
	const place = ({name}) => (order.includes(name) ? order.indexOf(name) : order.length);
	return [...widgets].sort((one, other) => place(one) - place(other));
}

/** Not as rare ones: all of those are shown or hidden together. */
function hide(/** @type {Widget} */ widget, hidden) {
	if (sectionOf(widget.name)) widget.advanced = false;
	if (widget.options?.advanced) widget.options.advanced = false;
	if (!!widget.hidden === hidden) return;
	widget.hidden = hidden;
	if (widget.options) widget.options.hidden = hidden; // that is where Nodes 2.0 looks
}

/** Change what is shown, and give the node as much height more or less. */
function resized(/** @type {SortedNode} */ node, change) {
	const before = node.computeSize()[1];
	change();
	const now = node.computeSize()[1];
	node.setSize([node.size[0], Math.max(now, node.size[1] + now - before)]);
	node.setDirtyCanvas(true, true);
}

const isSaved = (/** @type {Widget} */ {serialize}) => serialize !== false;

/** As the editor writes it. */
function asSaved(/** @type {Widget} */ {value}) {
	return typeof value === "object" && value ? JSON.parse(JSON.stringify(value)) : (value ?? null);
}
