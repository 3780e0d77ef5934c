/** One of our templates, just opened: in the editor's language, and where it can be read. */
import {app} from "../../scripts/app.js";
import {chinese, isChinese, setting} from "./language.js";

const READABLE = 0.75; // of the editor's letters of 12 pixels, 9 are left
const EDGE = {left: 66, top: 92, right: 10, bottom: 15}; // pixels that bars of the editor cover

export async function open() {
	const {graph} = app;
	delete graph.extra.hypernet; // from now on it is the user's
	if (isChinese()) await translate(graph).catch(() => {});
	if (setting("Comfy.EnableWorkflowViewRestore") !== false) show(graph);
}

/** Titles and the note; prompts stay as the model knows them. */
async function translate(/** @type {Graph} */ graph) {
	const said = await chinese("templates");
	for (const each of [...graph.nodes, ...graph.groups]) each.title = said[each.title] ?? each.title;
	for (const {widgets = []} of graph.nodes.filter(isNote)) {
		for (const widget of widgets) widget.value = said[widget.value] ?? widget.value;
	}
}

const isNote = (/** @type {EditorNode} */ node) => node.type === "MarkdownNote";

/** The editor's smallest letters, and those of the note, which is what is read first. */
function enlarge(/** @type {EditorNode} */ node) {
	/** @type {HTMLElement | null} */
	const drawn = document.querySelector(`[data-node-id="${node.id}"]`); // in Nodes 2.0
	drawn?.style.setProperty("--text-2xs", "12px"); // the names over text boxes
	if (!isNote(node)) return;
	for (const element of [drawn, ...(node.widgets ?? []).map((each) => each.element)]) {
		element?.style.setProperty("--comfy-textarea-font-size", "15px");
		element?.style.setProperty("--comfy-markdown-font-size", "15px");
	}
}

/** All of it if that can be read, else its beginning. The editor has fitted it in before. */
async function show(/** @type {Graph} */ graph) {
	const {canvas, ds} = app.canvas;
	for (let frames = 0; frames < 3; frames += canvas.offsetParent ? 1 : 0) {
		await new Promise(requestAnimationFrame);
	}
	if (graph !== app.graph) return;
	graph.nodes.forEach(enlarge);
	const boxes = [...graph.nodes, ...graph.groups].map(({pos: [x, y], size: [wide, high]}) => [
		[x, y - 30], // nodes: below their titles
		[x + wide, y + high],
	]);
	const left = Math.min(...boxes.map(([[x]]) => x));
	const top = Math.min(...boxes.map(([[, y]]) => y));
	const wide = Math.max(...boxes.map(([, [x]]) => x)) - left;
	const high = Math.max(...boxes.map(([, [, y]]) => y)) - top;
	const room = [
		canvas.clientWidth - EDGE.left - EDGE.right,
		canvas.clientHeight - EDGE.top - EDGE.bottom,
	];
	ds.scale = Math.max(READABLE, Math.min(room[0] / wide, room[1] / high, 1));
	const spare = [room[0] - wide * ds.scale, room[1] - high * ds.scale];
	ds.offset[0] = (EDGE.left + Math.max(0, spare[0] / 2)) / ds.scale - left;
	ds.offset[1] = (EDGE.top + Math.max(0, spare[1] / 2)) / ds.scale - top;
	app.canvas.setDirty(true, true);
}
