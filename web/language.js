/**
 * Words in the language that the editor is set to; English where a language lacks them. Only what
 * is shown is loaded.
 */
import {app} from "../../scripts/app.js";

let shown = ""; // the language
/** @type {Words} its words */
let table;

/**
 * A setting's value, of the kind that the setting declares.
 * @type {(id: string) => any}
 */
export const setting = (id) => app.extensionManager?.setting?.get(id);

/** New for every page: browsers may keep all but .js and .css over an update. */
export const fresh = (file) => `${file}?${performance.timeOrigin}`;

export const isChinese = () => /^zh\b/.test(setting("Comfy.Locale"));

/** What words/ has under this name, apart from what is always said. */
export const chinese = (name) =>
	fetch(new URL(fresh(`./words/${name}.zh.json`), import.meta.url)).then((found) => found.json());

/**
 * words("desk").close in the language that is set, read anew each time; or words({en, zh}).close of
 * a table that was loaded when it was wanted.
 * @type {ReadsWords}
 */
export const words = (/** @type {any} */ part) =>
	new Proxy(/** @type {any} */ ({}), {
		get(_, key) {
			renew();
			return (typeof part === "string" ? table[part] : part[shown])[key];
		},
	});

/**
 * say("count", 3, 10): what stands there under that key, with its values.
 * @type {MakesSay}
 */
export const saying =
	(said) =>
	(key, ...values) =>
		said[key].replace(/\{(\d)\}/g, (_, place) => String(values[place]));

/**
 * The server's sentences in what it answers, or one of them. It speaks English.
 * @type {<Found>(found: Found) => Promise<Found>}
 */
export async function translated(found) {
	await renew();
	return shown === "zh"
		? import(fresh("./sentences.mjs")).then((said) => said.translate(found)).catch(() => found)
		: found;
}

/** After a change of it, the former one stays until the other is there. */
async function renew() {
	const wanted = isChinese() ? "zh" : "en";
	if (wanted === shown) return;
	shown = wanted;
	table = (await import(fresh(`./words/${wanted}.mjs`))).default;
}

await renew();
