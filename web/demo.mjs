/** Puts the bundled model in the place of Load Checkpoint, with all its links. */
import {app} from "../../scripts/app.js";

const LOADER = "CheckpointLoaderSimple";
const SIZE = 128; // pixels of the pictures that it draws best
const SIZED = ["HypernetLoadDataset", "EmptyLatentImage", "HypernetCompare"];

export function useDemoModel() {
	const {graph} = app;
	const loaders = graph.nodes.filter((node) => node.type === LOADER);
	const loader = loaders.find((node) => app.canvas.selectedItems?.has(node)) ?? loaders[0];
	if (!loader) return;
	graph.beforeChange();
	const demo = LiteGraph.createNode("HypernetLoadDemoModel");
	demo.pos = [loader.pos[0], loader.pos[1]];
	graph.add(demo);
	demo.setSize([loader.size[0], demo.size[1]]);
	for (const node of graph.nodes) {
		for (const place of node.inputs?.keys() ?? []) {
			if (node.getInputNode(place) !== loader) continue;
			demo.connect(node.getInputLink(place).origin_slot, node, place);
		}
		if (SIZED.includes(node.type)) shrink(node);
	}
	graph.remove(loader);
	graph.afterChange();
}

function shrink(/** @type {EditorNode} */ node) {
	for (const widget of node.widgets ?? []) {
		if (widget.name === "width" || widget.name === "height") widget.value = SIZE;
	}
}
