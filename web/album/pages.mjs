/** What of a folder is asked of the server, and what is written into Load Dataset's widgets. */
import {api} from "../../../scripts/api.js";
import {app} from "../../../scripts/app.js";

/**
 * side: pixels of the longer one, which the server has in three sizes.
 * @type {(folder: Folder, picture: Picture, side?: number, mask?: boolean) => string}
 */
export function thumbnailOf({folder, subfolders}, {name, version}, side = 128, mask = false) {
	const query = new URLSearchParams({
		folder,
		subfolders: String(subfolders),
		name,
		version,
		side: String(side),
		mask: String(mask),
	});
	return api.apiURL(`/hypernet/thumbnail?${query}`);
}

/**
 * As by hand, to be undone at once.
 * @type {(node: EditorNode, name: string, value: unknown) => void}
 */
export function setWidget(node, name, value) {
	const widget = node.widgets?.find((each) => each.name === name);
	if (!widget || widget.value === value) return;
	app.graph.beforeChange();
	widget.value = value;
	widget.callback?.(value);
	app.graph.afterChange();
}

/** A name as a line of `exclude`: no line holds a line break. */
export const lineOf = (/** @type {string} */ name) => name.replace(/[\n\r]/g, "?");

/**
 * The text of `exclude` with these names, each once.
 * @type {(text: string, names: string[]) => string}
 */
export function withLines(text, names) {
	const lines = linesOf(text);
	const known = new Set(lines);
	return [...lines, ...names.map(lineOf).filter((line) => !known.has(line))].join("\n");
}

/**
 * The text without these lines.
 * @type {(text: string, gone: string[]) => string}
 */
export const withoutLines = (text, gone) =>
	linesOf(text)
		.filter((line) => !gone.includes(line))
		.join("\n");

const linesOf = (/** @type {string} */ text) =>
	text
		.split("\n")
		.map((line) => line.trim())
		.filter(Boolean);
