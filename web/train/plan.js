/** Under the name of Train Hypernet: what Run will do, and buttons for what else it could do. */
import {words} from "../language.js";
import {above} from "../panels.js";
import {addPanel, button, element, linkedInputs, renewPanels, widgetValues} from "../panel.js";

const NAMING = ["name", "resume", "if_taken", "continue_from"];
const say = words("plan");

export const addPlan = (/** @type {EditorNode} */ node) =>
	addPanel(node, {
		name: "plan",
		height: 76,
		margin: 4,
		grows: false,
		question: () => questionOf(node),
		show: (found, place) => show(node, found, place),
	});

/** @type {Asks} */
function questionOf(node) {
	const naming = widgetValues(node, NAMING);
	if (!naming) return undefined;
	const linked = linkedInputs(node);
	const known = node.widgets?.filter((each) => each.serialize !== false && !linked.has(each.name));
	const settings = Object.fromEntries(known?.map(({name, value}) => [name, value]) ?? []);
	return {path: "forecast", body: {...naming, settings, ...above(node)}};
}

function show(/** @type {EditorNode} */ node, /** @type {ForecastAnswer} */ found, place) {
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
