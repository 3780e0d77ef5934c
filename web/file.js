/** What the chosen network file is. */
import {addPanel, element, makers, upstream, widgetValues} from "./panel.js";
import {words} from "./language.js";

const say = words("file");
const labels = words("facts");
const SHORT = ["steps", "structure", "activation", "widths", "places", "trained on", "networks"];

makers.HypernetLoad = makers.HypernetInspect = (node) =>
	addPanel(node, {
		height: 150,
		question: () => fileOf(node),
		show: (found, place) => place.replaceChildren(facts(found.lines)),
	});
makers.HypernetApply = (node) =>
	addPanel(node, {height: 80, question: () => fileAbove(node), show: showShort});

/** @type {Asks} */
function fileOf(node) {
	const name = widgetValues(node, ["name"])?.name;
	return name ? {path: `file?name=${encodeURIComponent(name)}`} : say.none;
}

/** @type {Asks} */
function fileAbove(node) {
	const source = upstream(node, "hypernet");
	if (source?.comfyClass === "HypernetLoad") return fileOf(source);
	return source ? say.made : say.apply;
}

/** Lines of (label, text) as a list that screen readers can go through. */
export function facts(/** @type {[string, string][]} */ lines) {
	return element(
		"dl",
		{class: "hypernet-notes hypernet-dl", tabindex: 0},
		...lines.flatMap(([label, text]) => [
			element("dt", {}, labels[label] ?? label),
			element("dd", {}, text),
		]),
	);
}

/** @type {Shows<FileAnswer>} */
function showShort({lines}, place) {
	const known = Object.fromEntries(lines);
	const parts = SHORT.filter((label) => known[label]).map(
		(label) => `${labels[label] ?? label} ${known[label]}`,
	);
	place.replaceChildren(
		element("b", {}, known.name),
		element("div", {class: "hypernet-notes hypernet-facts", tabindex: 0}, parts.join(" · ")),
	);
}
