/** Network files on their way to the server, and the nodes that load them then. */
import {app} from "../../scripts/app.js";
import {ask} from "./panel.js";
import {notice} from "./desk.js";

const PART = 3 * 2 ** 20; // bytes, as base64 well below what hosts let through

/** @type {(files: File[], place: [number, number]) => Promise<void>} */
export async function takeIn(files, [x, y]) {
	for (const file of files) {
		if (/\.safetensors$/i.test(file.name) && !(await isNetwork(file))) {
			app.handleFile(file);
			continue;
		}
		try {
			load(await upload(file), [x, y]);
			x += 40;
			y += 40;
		} catch (fault) {
			notice("error", file.name, fault.message);
		}
	}
}

/** By the names in its header; the editor itself reads others, such as saved workflows. */
async function isNetwork(/** @type {File} */ file) {
	const length = new DataView(await file.slice(0, 8).arrayBuffer()).getUint32(0, true);
	const header = await file.slice(8, 8 + Math.min(length, 2 ** 22)).text();
	return /"\d+\.[kv]\./.test(header);
}

/** The name under which the server has it now. Throws an Error with the server's sentence. */
async function upload(/** @type {File} */ file) {
	const token = [...crypto.getRandomValues(new Uint8Array(8))]
		.map((byte) => byte.toString(16).padStart(2, "0"))
		.join("");
	for (let offset = 0; ; offset += PART) {
		const last = offset + PART >= file.size;
		const data = await base64(file.slice(offset, offset + PART));
		const {name} = await ask("upload", {name: file.name, token, offset, data, last});
		if (last) return name;
	}
}

/** @type {(blob: Blob) => Promise<string>} */
function base64(blob) {
	return new Promise((resolve, reject) => {
		const reader = new FileReader();
		reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""));
		reader.onerror = () => reject(reader.error);
		reader.readAsDataURL(blob);
	});
}

/**
 * A node that loads this network.
 * @type {(name: string, place: [number, number]) => void}
 */
export function load(name, place) {
	const node = globalThis.LiteGraph.createNode("HypernetLoad");
	node.pos = place;
	app.canvas.graph.add(node);
	const combo = /** @type {Widget} */ (node.widgets?.find((widget) => widget.name === "name"));
	const names = combo.options?.values;
	if (Array.isArray(names) && !names.includes(name)) names.push(name);
	combo.value = name;
}
