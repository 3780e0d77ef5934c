/** What Run will do, and a button for everything else that it could do. */
import {words} from "../language.js";
import {button, element, renewPanels} from "../panel.js";

const say = words("plan");

export function show(/** @type {EditorNode} */ node, /** @type {ForecastAnswer} */ found, place) {
	const buttons = found.choices.map(({what, name, set}) =>
		button(say[what].replace("{0}", name), {onclick: () => choose(node, set)}),
	);
	place.replaceChildren(
		element(
			"div",
			{class: "hypernet-notes hypernet-plan", tabindex: 0},
			element("strong", {}, found.said),
			...found.notes.map((note) => element("div", {}, note)),
		),
		...(buttons.length ? [element("div", {class: "hypernet-row"}, ...buttons)] : []),
	);
}

function choose(/** @type {EditorNode} */ node, values) {
	for (const widget of node.widgets ?? []) {
		if (!(widget.name in values)) continue;
		widget.value = values[widget.name];
		widget.callback?.(widget.value);
	}
	node.setDirtyCanvas(true, true);
	renewPanels();
}
