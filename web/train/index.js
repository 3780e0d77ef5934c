/** The live view of Train Hypernet: one widget on the node, and the events that keep it fresh. */
import {api} from "../../../scripts/api.js";
import {app} from "../../../scripts/app.js";
import {fresh, setting} from "../language.js";
import {addWidget, chain, element, watch} from "../panel.js";
import {addPlan} from "./plan.js";
import {putInOrder} from "./order.js";

const HEIGHT = 372; // pixels, at least: all that a training shows fits

/** @type {Map<EditorNode, any>} Their class is only loaded when there is one: view.mjs */
const views = new Map();
/** By node: the last run heard of, its name as asked and as it is, perhaps with a number. */
const heard = new WeakMap();

/** The run that a node is about: by its name, or where another node gives that, by its own id. */
function whichRun(/** @type {EditorNode} */ node) {
	const place = node.inputs?.findIndex((input) => input.name === "name") ?? -1;
	const linked = place >= 0 && node.isInputConnected(place);
	const last = heard.get(node);
	if (linked) return new URLSearchParams(last ? {name: last.name} : {node: String(node.id)});
	const asked = nameOf(node);
	if (!asked) return null;
	return new URLSearchParams(last?.asked === asked ? {name: last.name} : {asked});
}

/** As the server writes it: "styles/ink". */
function nameOf(/** @type {EditorNode} */ node) {
	const typed = String(node.widgets?.find((each) => each.name === "name")?.value ?? "").trim();
	return typed.replaceAll("\\", "/").replace(/\.pt$/, "");
}

/** The widget at once, because it has its place among others; what is in it when it is loaded. */
async function addView(/** @type {EditorNode} */ node) {
	const root = element("div", {class: "hypernet-training"});
	addWidget(node, "training", "HYPERNET_TRAINING", root, {
		hideOnZoom: false,
		getMinHeight: () => HEIGHT,
	});
	root.addEventListener("wheel", zoomBelow, {passive: false});
	let removed = false;
	chain(node, "onRemoved", () => (removed = true));
	const {View} = await import(fresh("./view.mjs"));
	if (removed) return;
	const view = new View(root, () => whichRun(node));
	views.set(node, view);
	let asked = "";
	watch(node, () => {
		const now = String(whichRun(node));
		if (now !== asked) view.news();
		asked = now;
	});
	chain(node, "onRemoved", () => {
		views.delete(node);
		view.remove();
	});
}

/** The canvas zooms under our view as beside it; Nodes 2.0 sees to that by itself. */
function zoomBelow(event) {
	if (setting("Comfy.VueNodes.Enabled")) return;
	event.preventDefault();
	app.canvas.canvas.dispatchEvent(new WheelEvent(event.type, event));
}

/**
 * The editor shows a node's live preview in place of its picture, in Nodes 2.0 even beside it, and
 * drops it only at the next run. Then the last, small preview would hide the grid. No extension
 * point drops it, so this asks the editor's store for it, where there is one.
 */
function dropLivePreview(/** @type {EditorNode} */ node) {
	const {_p: stores, workflow} = app.extensionManager;
	const shown = stores?._s?.get("nodeOutput");
	shown?.revokePreviewsByLocatorId?.(workflow?.nodeToNodeLocatorId?.(node));
}

app.registerExtension({
	name: "hypernet.training",
	setup() {
		api.addEventListener("hypernet.step", (event) => {
			/** @type {StepEvent} */
			const detail = event.detail;
			for (const [node, view] of views) {
				const here = String(detail.node).split(":").at(-1) === String(node.id);
				const {name, asked = name} = detail;
				if (!here && nameOf(node) !== asked) continue;
				heard.set(node, {asked, name});
				view.news(detail);
			}
		});
		api.addEventListener("reconnected", () => {
			for (const view of views.values()) view.news();
		});
	},
	nodeCreated(node) {
		if (node.comfyClass !== "HypernetTrain") return;
		addPlan(node);
		addView(node);
		putInOrder(/** @type {SortedNode} */ (node));
		chain(node, "onExecuted", (output) => output?.images?.length && dropLivePreview(node));
	},
});
