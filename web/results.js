/** What a run said, on each of our nodes that has no panel that tells it. */
import {app} from "../../scripts/app.js";
import {chain, isOurs} from "./panel.js";
import {fresh} from "./language.js";

const TOLD = ["Config", "LearningRate", "Load", "Inspect", "LoadDataset", "Train"].map(
	(kind) => `Hypernet${kind}`,
);

app.registerExtension({
	name: "Hypernet.Results",
	nodeCreated(node) {
		if (!isOurs(node.comfyClass) || TOLD.includes(node.comfyClass)) return;
		chain(node, "onExecuted", async (output) =>
			(await import(fresh("./shown/results.mjs"))).tell(node, output?.text ?? []),
		);
	},
});
