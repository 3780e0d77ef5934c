/** What a network's file is. */
import {element} from "../panel.js";
import {fresh, words} from "../language.js";

const labels = words((await import(fresh("../words/facts.mjs"))).default);
const SHORT = ["steps", "structure", "activation", "widths", "places", "trained on", "networks"];

/** @type {Shows<FileAnswer>} */
export const showFile = ({lines}, place) => place.replaceChildren(facts(lines));

/** Lines of (label, text) as a list that screen readers can go through. */
function facts(/** @type {[string, string][]} */ lines) {
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
export function showShort({lines}, place) {
	const known = Object.fromEntries(lines);
	const parts = SHORT.filter((label) => known[label]).map(
		(label) => `${labels[label] ?? label} ${known[label]}`,
	);
	place.replaceChildren(
		element("b", {}, known.name),
		element("div", {class: "hypernet-notes hypernet-facts", tabindex: 0}, parts.join(" · ")),
	);
}
