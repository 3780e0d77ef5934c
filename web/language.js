/**
 * Words in the language that the editor is set to; English where a language lacks them. Only what
 * is shown is loaded.
 */
import {app} from "../../scripts/app.js";

let shown = ""; // the language
let table; // its words

/** New for every page: browsers may keep all but .js and .css over an update. */
export const fresh = (file) => `${file}?${performance.timeOrigin}`;

/** words("desk").close in the language that is set, read anew each time. */
export function words(part) {
	const get = (_, key) => {
		renew();
		return table[part][key];
	};
	return new Proxy({}, {get});
}

/** The server's sentences in what it answers, or one of them. It speaks English. */
export async function translated(found) {
	await renew();
	return shown === "zh"
		? import(fresh("./sentences.mjs")).then((said) => said.translate(found)).catch(() => found)
		: found;
}

/** After a change of it, the former one stays until the other is there. */
async function renew() {
	const wanted = /^zh\b/.test(app.extensionManager?.setting?.get("Comfy.Locale")) ? "zh" : "en";
	if (wanted === shown) return;
	shown = wanted;
	table = (await import(fresh(`./words/${wanted}.mjs`))).default;
}

await renew();
