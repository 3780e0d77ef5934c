/** The curve of a schedule. */
import {element} from "../panel.js";
import {fresh, setting, words} from "../language.js";

const say = words((await import(fresh("../words/drawn.mjs"))).default);

/** @type {Shows<ScheduleAnswer>} */
export const showCurve = (found, place) => place.replaceChildren(drawing(found));

/** @type {Shows<ScheduleAnswer>} */
export function showAdvice(found, place) {
	const said = element(
		"div",
		{class: "hypernet-notes", tabindex: found.said ? 0 : undefined},
		found.said,
	);
	place.replaceChildren(drawing(found), said);
}

const [WIDE, HIGH, LEFT, TOP, BOTTOM] = [300, 90, 52, 7, 18];

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
			element("text", {x: LEFT - 5, y: y(rate) + 4, "text-anchor": "end"}, label(rate)),
		]),
		element("path", {
			d: `${line.join("")}H${at(x(points[points.length - 1][0] + 1))}`,
			class: "hypernet-line",
		}),
		element("text", {x: LEFT, y: HIGH - 4, "text-anchor": "start"}, "0"),
		element(
			"text",
			{x: WIDE - 4, y: HIGH - 4, "text-anchor": "end"},
			`${steps.toLocaleString()} ${say.steps}`,
		),
	);
}
