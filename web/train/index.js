/** The live view of Train Hypernet: a widget, and the events that keep it fresh. */
import {api} from "../../../scripts/api.js";
import {app} from "../../../scripts/app.js";
import {fresh, setting} from "../language.js";
import {addWidget, chain, element, makeRoom, watch} from "../panel.js";
import {addPlan} from "./plan.js";
import {putInOrder} from "./order.js";

const TRAINER = "HypernetTrain";
const HEIGHT = 372; // pixels, at least: all that a training shows fits

/** @type {Map<EditorNode, any>} Their class is only loaded when there is one: view.mjs */
const views = new Map();
/** By node: the last run heard of, its name as asked and as it is. */
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
	const typed = [node, trainerIn(node)]
		.map((each) => each?.widgets?.find(({name}) => name === "name")?.value)
		.find((value) => value !== undefined);
	return String(typed ?? "")
		.trim()
		.replaceAll("\\", "/")
		.replace(/\.pt$/, "");
}

/** What trains inside, if the node is a subgraph's. */
const trainerIn = (/** @type {EditorNode} */ node) =>
	node.subgraph?.nodes.find(({comfyClass}) => comfyClass === TRAINER);

/** The widget at once, as it has its place among others; what is in it when it is loaded. */
async function addView(/** @type {EditorNode} */ node) {
	const root = element("div", {class: "hypernet-training"});
	addWidget(node, "training", "HYPERNET_TRAINING", root, {
		hideOnZoom: false,
		getMinHeight: () => HEIGHT,
	});
	root.addEventListener("wheel", zoomBelow, {passive: false});
	let removed = false;
	chain(node, "onRemoved", () => {
		removed = true;
		views.get(node)?.remove();
		views.delete(node);
	});
	const {View, showsPicture} = await import(fresh("./view.mjs"));
	if (removed) return;
	chain(node, "onExecuted", (output) => showsPicture(app, node, output));
	const view = new View(root, () => whichRun(node));
	views.set(node, view);
	let asked = "";
	watch(node, () => {
		const now = String(whichRun(node));
		if (now !== asked) view.news();
		asked = now;
	});
}

/** To a subgraph's node, which has the widgets of its inputs by now. */
function addBelow(/** @type {EditorNode} */ node) {
	addView(node);
	makeRoom(node);
}

/** The canvas zooms under our view as beside it; Nodes 2.0 sees to that by itself. */
function zoomBelow(event) {
	if (setting("Comfy.VueNodes.Enabled")) return;
	event.preventDefault();
	app.canvas.canvas.dispatchEvent(new WheelEvent(event.type, event));
}

app.registerExtension({
	name: "hypernet.training",
	setup() {
		api.addEventListener("hypernet.step", (event) => {
			/** @type {StepEvent} */
			const detail = event.detail;
			for (const [node, view] of views) {
				const path = String(detail.node).split(":"); // subgraphs from the outside in
				const here = path.at(node.subgraph ? -2 : -1) === String(node.id);
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
		if (trainerIn(node)) setTimeout(() => addBelow(node));
		if (node.comfyClass !== TRAINER) return;
		addPlan(node);
		addView(node);
		putInOrder(/** @type {SortedNode} */ (node));
	},
});
