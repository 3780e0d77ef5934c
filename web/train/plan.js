/** Under the name of Train Hypernet: what Run will do, and buttons for what else it could do. */
import {fresh} from "../language.js";
import {above} from "../panels.js";
import {addPanel, linkedInputs, widgetValues} from "../panel.js";

const NAMING = ["name", "resume", "if_taken", "continue_from"];

export const addPlan = (/** @type {EditorNode} */ node) =>
	addPanel(node, {
		name: "plan",
		height: 76,
		margin: 4,
		grows: false,
		question: () => questionOf(node),
		show: async (found, place) => (await import(fresh("./choices.mjs"))).show(node, found, place),
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
