/**
 * Names over boxes of several lines, which the canvas only shows while they are empty. Nodes 2.0
 * has its own.
 */

import {chinese, isChinese} from "./language.js";

/** @type {Map<string, string>} Known before there are nodes: Nodes 2.0 looks but once. */
const said = new Map(isChinese() ? Object.entries(await chinese("choices").catch(() => ({}))) : []);

/** Draw each name into the margin over its box. */
export function labelTexts(/** @type {EditorNode} */ node) {
	for (const widget of node.widgets ?? []) {
		const {draw, element} = /** @type {DOMWidget} */ (widget);
		if (!draw || element?.tagName !== "TEXTAREA") continue;
		widget.draw = function (...given) {
			draw.apply(this, given);
			const [pen, , , top, , coarse] = given;
			if (!coarse && widget.value) write(pen, widget.label ?? nameOf(node, widget.name), top);
		};
	}
}

/** Choices in Chinese, with their values beside them. */
export function labelChoices(/** @type {EditorNode} */ {widgets = []}) {
	for (const {type, options} of said.size ? widgets : [])
		if (type === "combo" && options) options.getOptionLabel = (value) => said.get(value) ?? value;
}

/** In the editor's language. */
const nameOf = (/** @type {EditorNode} */ node, /** @type {string} */ name) =>
	node.inputs?.find((input) => input.name === name)?.localized_name ?? name;

function write(/** @type {CanvasRenderingContext2D} */ pen, /** @type {string} */ name, top) {
	pen.save();
	pen.font = "12px sans-serif";
	pen.textAlign = "left";
	pen.fillStyle = LiteGraph.WIDGET_SECONDARY_TEXT_COLOR;
	pen.fillText(name, 12, top + 7);
	pen.restore();
}
