/**
 * Names over boxes of several lines, which the canvas only shows while they are empty. Nodes 2.0
 * has its own.
 */

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

/** In the editor's language. */
const nameOf = (/** @type {EditorNode} */ node, /** @type {string} */ name) =>
	node.inputs?.find((input) => input.name === name)?.localized_name ?? name;

function write(/** @type {CanvasRenderingContext2D} */ pen, /** @type {string} */ name, top) {
	pen.save();
	pen.font = "10px sans-serif";
	pen.textAlign = "left";
	pen.fillStyle = LiteGraph.WIDGET_SECONDARY_TEXT_COLOR;
	pen.fillText(name, 12, top + 8);
	pen.restore();
}
