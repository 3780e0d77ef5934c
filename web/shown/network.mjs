/** The network as columns, one per entry of its structure, with its size. */
import {element} from "../panel.js";
import {fresh, words} from "../language.js";

const say = words((await import(fresh("../words/drawn.mjs"))).default);

/** @type {Shows<ConfigAnswer>} */
export function showNetwork(found, place) {
	const facts = [
		`${found.parameters} ${say.parameters}`,
		`${found.file} ${say.file}`,
		`${say.widths} ${found.widths}`,
	].join(" · ");
	const notes = element("ul", {}, ...found.warnings.map((warning) => element("li", {}, warning)));
	place.replaceChildren(
		drawing(found.columns),
		element(
			"div",
			{class: "hypernet-notes", tabindex: found.warnings.length ? 0 : undefined},
			element("div", {class: "hypernet-facts"}, facts),
			notes,
		),
	);
}

const HIGH = 62;
const STEP = 58;

/** Below a column its factor; between columns what a token meets after the linear layer. */
export function drawing(/** @type {Column[]} */ columns) {
	const wide = Math.max(columns.length * STEP, 240);
	const left = (wide - (columns.length - 1) * STEP) / 2;
	const parts = columns.flatMap((column, place) => {
		const x = left + place * STEP;
		const high = Math.max(column.share * (HIGH - 4), 3);
		const middle = HIGH / 2;
		const before = columns[place - 1];
		return [
			before && element("path", {d: trapezoid(x - STEP, before, x, column), opacity: 0.18}),
			element(
				"rect",
				{
					class: "hypernet-accent",
					x: x - 6,
					y: middle - high / 2,
					width: 12,
					height: high,
					rx: 2,
				},
				element("title", {}, `× ${column.factor}`),
			),
			element("text", {x, y: HIGH + 12}, column.factor),
			...marks(column).map(([sign, title], row) =>
				element(
					"text",
					{x: x - STEP / 2, y: middle + 4 + (row - (marks(column).length - 1) / 2) * 13},
					sign,
					element("title", {}, title),
				),
			),
		].filter((each) => !!each);
	});
	return element(
		"svg",
		{
			class: "hypernet-drawing",
			viewBox: `0 0 ${wide} ${HIGH + 16}`,
			height: HIGH + 16,
			role: "img",
			"aria-label": columns
				.map((column) => [column.factor, ...marks(column).map(([, title]) => title)].join(" "))
				.join(", "),
		},
		...parts,
	);
}

function trapezoid(x1, from, x2, to) {
	const [a, b] = [from, to].map((column) => Math.max(column.share * (HIGH - 4), 3) / 2);
	const middle = HIGH / 2;
	return `M${x1 + 6} ${middle - a}L${x2 - 6} ${middle - b}V${middle + b}L${x1 + 6} ${middle + a}Z`;
}

/** (sign, its meaning) in A1111's order. */
function marks(/** @type {Column} */ column) {
	const {activation, layer_norm, dropout} = column;
	const short = activation.length > 9 ? `${activation.slice(0, 8)}…` : activation;
	/** @type {[string, string][]} */
	const found = [];
	if (activation) found.push([short, activation]);
	if (layer_norm) found.push(["norm", say.norm]);
	if (dropout) found.push([`−${Math.round(dropout * 100)}%`, `${say.dropout} ${dropout}`]);
	return found;
}
