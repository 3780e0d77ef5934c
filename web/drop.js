/** Network files that are dropped on the canvas go to the server, and become Load Hypernets. */
import {app} from "../../scripts/app.js";
import {fresh} from "./language.js";

const OURS = /\.(pt|safetensors|hns)$/i;

app.registerExtension({
	name: "Hypernet.Drop",
	setup() {
		const canvas = app.canvas.canvas;
		const place = canvas.closest("#graph-canvas-container") ?? canvas.parentElement;
		place?.addEventListener("drop", take);
	},
});

async function take(event) {
	const files = [...(event.dataTransfer?.files ?? [])];
	if (!files.length || !files.every((file) => OURS.test(file.name))) return;
	event.preventDefault(); // the editor leaves alone what is handled
	const place = app.canvas.convertEventToCanvasOffset(event);
	(await import(fresh("./upload.mjs"))).takeIn(files, place);
}
