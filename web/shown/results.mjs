/** What a run said, on a node that has no panel that tells it. */
import {addWidget, element, makeRoom} from "../panel.js";
import {translated} from "../language.js";

const [LINE, LETTER, BESIDE, MOST] = [15.6, 6.1, 30, 170]; // pixels

/** @type {WeakMap<EditorNode, HTMLElement>} */
const places = new WeakMap();

export async function tell(/** @type {EditorNode} */ node, /** @type {string[]} */ lines) {
	const text = lines.join("\n").trim();
	if (!text && !places.has(node)) return;
	const place = places.get(node) ?? addPlace(node);
	places.set(node, place);
	place.textContent = await translated(text);
	makeRoom(node);
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
