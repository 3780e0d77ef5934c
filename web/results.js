/** What a run said, on each of our nodes that has no panel that tells it. */
import {app} from "../../scripts/app.js";
import {addWidget, chain, element, isOurs, makeRoom} from "./panel.js";
import {translated} from "./language.js";

const TOLD = ["Config", "LearningRate", "Load", "Inspect", "LoadDataset", "Train"].map(
	(kind) => `Hypernet${kind}`,
);
const [LINE, LETTER, BESIDE, MOST] = [15.6, 6.1, 30, 170]; // pixels

app.registerExtension({
	name: "Hypernet.Results",
	nodeCreated(node) {
		const {comfyClass: kind} = node;
		if (isOurs(kind) && !TOLD.includes(kind)) tellResults(node);
	},
});

function tellResults(/** @type {EditorNode} */ node) {
	/** @type {HTMLElement | undefined} */
	let place;
	chain(node, "onExecuted", async (output) => {
		const text = (output?.text ?? []).join("\n").trim();
		if (!text && !place) return;
		place ??= addPlace(node);
		place.textContent = await translated(text);
		makeRoom(node);
	});
}

function addPlace(/** @type {EditorNode} */ node) {
	const place = element("div", {class: "hypernet-notes", role: "status", tabindex: 0});
	place.addEventListener("pointerdown", (event) => event.stopPropagation()); // to select it
	const box = element("div", {class: "hypernet-box"}, place);
	addWidget(node, "hypernet_result", "HYPERNET_RESULT", box, {
		getMinHeight: () => heightOf(place.textContent, node.size[0]),
	});
	return place;
}

/** That of a text on a node so wide, up to MOST. */
function heightOf(/** @type {string} */ text, /** @type {number} */ wide) {
	if (!text) return 0;
	const fitting = Math.max(8, (wide - BESIDE) / LETTER);
	const lines = text.split("\n").map((line) => Math.max(1, Math.ceil(line.length / fitting)));
	return Math.min(MOST, LINE * (1 + lines.reduce((all, each) => all + each)));
}
