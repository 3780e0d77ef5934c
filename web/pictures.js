/**
 * Load Dataset and Caption: a strip of the folder's pictures, and what must be there before it is
 * opened. All that is done with pictures is in album/, loaded with the first of these nodes, and
 * with the desk. Words that are not saved yet stay here, where Run finds them.
 */
import {addPanel, chain, element, makers, upstream, widgetValues} from "./panel.js";
import {fresh, words} from "./language.js";

const IN_STRIP = 24; // pictures
const THROUGH = {
	HypernetPrepare: "dataset",
	HypernetCaption: "dataset",
	HypernetWords: "dataset",
};
const say = words("pictures");

/**
 * Words by name, by folder: nodes that show the same folder share them. No folder has none.
 * @type {Map<string, { [name: string]: string }>}
 */
export const unsaved = new Map();

export const keyOf = (/** @type {Folder} */ {folder, subfolders}) =>
	JSON.stringify([folder, subfolders]);

makers.HypernetLoadDataset = (node) => {
	addStrip(node, () => node, 226);
	holdRun(node);
};
makers.HypernetCaption = (node) => addStrip(node, () => loaderAbove(node), 128);

/** The Load Dataset that a node's pictures come from. */
const loaderAbove = (/** @type {EditorNode} */ node) => upstream(node, "dataset", THROUGH);

/** The folder that it names; undefined while that is not known. */
export const folderAbove = (/** @type {EditorNode} */ node) => folderOf(loaderAbove(node));

/** The size that it gives its pictures. */
export function sizeAbove(/** @type {EditorNode} */ node) {
	const loader = loaderAbove(node);
	return loader?.comfyClass === "HypernetLoadDataset"
		? widgetValues(loader, ["width", "height"])
		: undefined;
}

/** @type {(loader: EditorNode | undefined) => Folder | undefined} */
export function folderOf(loader) {
	if (loader?.comfyClass !== "HypernetLoadDataset") return undefined;
	const folder = widgetValues(loader, ["folder", "subfolders"]);
	return folder && /** @type {any} */ ({...folder, ...widgetValues(loader, ["exclude"])});
}

/** @type {(node: EditorNode, loader: () => EditorNode | undefined, height: number) => void} */
function addStrip(node, loader, height) {
	const root = element("div", {class: "hypernet-album"});
	const strip = import(fresh("./album/strip.mjs")).then(({Strip}) => new Strip(root, node, loader));
	/** @type {Folder | undefined} */
	let asked;
	const panel = addPanel(node, {
		height,
		question() {
			const above = loader();
			root.hidden = !above;
			if (!above) return say.none;
			const folder = folderOf(above);
			asked = folder;
			const all = {text: "", tag: "", offset: 0, count: IN_STRIP, edits: {}};
			return (
				folder && {
					path: "pictures",
					body: {...folder, ...all},
					also: () => ({edits: unsaved.get(keyOf(folder)) ?? {}}),
				}
			);
		},
		// The node may be gone by now, and cannot be asked again.
		show: async (found) => (await strip).show(found, asked),
	});
	if (!panel) return;
	panel.place.before(root); // a folder that is not there can be changed for another
	root.addEventListener("pointerdown", (event) => event.stopPropagation()); // no dragging
	chain(node, "onExecuted", async (output) => (await strip).ran(output?.text));
	if (node.comfyClass === "HypernetLoadDataset") takeFiles(node, root);
}

/** Pictures and folders of them that are dropped on the node, in either renderer. */
function takeFiles(/** @type {EditorNode} */ node, /** @type {HTMLElement} */ root) {
	const brings = (/** @type {DragEvent} */ {dataTransfer}) =>
		[...(dataTransfer?.items ?? [])].some(({kind}) => kind === "file");
	const take = (/** @type {DragEvent} */ event) => {
		if (!brings(event)) return false;
		// Now, because they are gone when the event is over.
		const items = [...(event.dataTransfer?.items ?? [])];
		const entries = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
		import(fresh("./album/intake.mjs")).then(({takeIn}) => takeIn(node, entries));
		return true;
	};
	Object.assign(node, {onDragOver: brings, onDragDrop: take});
	root.addEventListener("dragover", (event) => brings(event) && event.preventDefault());
	root.addEventListener("drop", (event) => {
		if (!take(event)) return;
		event.preventDefault();
		event.stopPropagation();
	});
}

/** The editor waits for the values of widgets before it queues a prompt: time for a question. */
function holdRun(/** @type {EditorNode} */ node) {
	const widget = node.widgets?.find(({name}) => name === "exclude");
	if (!widget) return;
	let runs = false; // or a prompt is only written to a file
	widget.beforeQueued = () => (runs = true);
	widget.serializeValue = async () => {
		const folder = runs && unsaved.size && folderOf(node);
		runs = false;
		if (folder) await (await import(fresh("./album/unsaved.mjs"))).beforeRun(folder);
		return widget.value;
	};
}
