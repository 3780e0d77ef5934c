/** What the album says, in the editor's language. */
import {fresh, setting} from "../language.js";

/** @type {typeof import("../words/album.mjs").default} */
const table = (await import(fresh("../words/album.mjs"))).default;

/** @type {(key: keyof typeof table.en, ...values: unknown[]) => string} */
export function say(key, ...values) {
	const mine = table[/^zh\b/.test(setting("Comfy.Locale")) ? "zh" : "en"];
	return mine[key].replace(/\{(\d)\}/g, (_, place) => String(values[place]));
}
