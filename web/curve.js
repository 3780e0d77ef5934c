/** Learning Rate and Train Hypernet: the curve of the schedule that the widgets ask for. */
import {addPanel, element, makers, upstream, widgetValues} from "./panel.js";
import {setting, words} from "./language.js";
import {configOf, isDemo} from "./network.js";
import {folderAbove, sizeAbove} from "./pictures.js";

const SETTINGS = ["learning_rate", "steps", "batch_size", "accumulation", "optimizer", "preset"];
const say = words("curve");

makers.HypernetLearningRate = (node) =>
	addPanel(node, {height: 190, question: () => adviceFor(node), show});
makers.HypernetTrain = (node) =>
	addPanel(node, {
		height: 110,
		grows: false,
		question: () => scheduleOf(node),
		show: (found, place) => place.replaceChildren(drawing(found)), // train/plan.js says the rest
	});

/** @type {Asks} */
function scheduleOf(node) {
	const given = widgetValues(node, SETTINGS);
	return given && {path: "schedule", body: {...given, ...above(node)}};
}

/** @type {Asks} */
function adviceFor(node) {
	const given = widgetValues(node, [...SETTINGS, "pictures"]);
	const more = {...above(node), dataset: folderAbove(node)};
	return given && {path: "learning_rate", body: {...given, ...more}};
}

/** What the nodes above say of the network and the pictures. */
export function above(/** @type {EditorNode} */ node) {
	const config = upstream(node, "config");
	const size = sizeAbove(node);
	return {config: config && configOf(config, node), demo: isDemo(node), size};
}

/** @type {Shows<ScheduleAnswer>} */
function show(found, place) {
	const said = element(
		"div",
		{class: "hypernet-notes", tabindex: found.said ? 0 : undefined},
		found.said,
	);
	place.replaceChildren(drawing(found), said);
}

const [WIDE, HIGH, LEFT, TOP, BOTTOM] = [300, 86, 42, 6, 14];

/** Rates on a logarithmic axis where none of them is 0. */
export function drawing(/** @type {ScheduleAnswer} */ {points, stepped, steps, learning_rate}) {
	const rates = points.map(([, rate]) => rate);
	const scale = Math.min(...rates) > 0 ? Math.log : (rate) => rate;
	const [low, high] = [Math.min(...rates), Math.max(...rates)];
	const span = scale(high) - scale(low);
	const x = (step) => LEFT + (step / Math.max(steps, 1)) * (WIDE - LEFT - 4);
	const y = (rate) =>
		TOP + (span ? (scale(high) - scale(rate)) / span : 0.5) * (HIGH - TOP - BOTTOM);
	const at = (number) => number.toFixed(1);
	const line = points.map(([step, rate], place) =>
		!place
			? `M${at(x(step))} ${at(y(rate))}`
			: stepped
				? `H${at(x(step))}V${at(y(rate))}`
				: `L${at(x(step))} ${at(y(rate))}`,
	);
	const label = (number) => Number(number.toPrecision(2)).toExponential();
	const ticks = span ? [high, low] : [high];
	return element(
		"svg",
		{
			class: "hypernet-drawing hypernet-curve",
			viewBox: `0 0 ${WIDE} ${HIGH}`,
			role: "img",
			height: HIGH,
			"aria-label": `${say.curve}: ${learning_rate}`,
			"data-theme": setting("Hypernet.Plots"),
		},
		...ticks.flatMap((rate) => [
			element("line", {
				x1: LEFT,
				x2: WIDE - 4,
				y1: y(rate),
				y2: y(rate),
				stroke: "currentColor",
				opacity: 0.15,
			}),
			element("text", {x: LEFT - 5, y: y(rate) + 3, "text-anchor": "end"}, label(rate)),
		]),
		element("path", {
			d: `${line.join("")}H${at(x(points[points.length - 1][0] + 1))}`,
			class: "hypernet-line",
		}),
		element("text", {x: LEFT, y: HIGH - 3, "text-anchor": "start"}, "0"),
		element(
			"text",
			{x: WIDE - 4, y: HIGH - 3, "text-anchor": "end"},
			`${steps.toLocaleString()} ${say.steps}`,
		),
	);
}
