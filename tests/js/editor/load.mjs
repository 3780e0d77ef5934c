/**
 * web/ without a browser: load("curve.js") gives a module of it, whose editor is scripts.mjs and
 * whose page is page.mjs. Files that it fetches come from the disk.
 */
import {readFile} from "node:fs/promises";
import {register} from "node:module";
import {page} from "./page.mjs";

const WEB = new URL("../../../web/", import.meta.url);

register("./hooks.mjs", import.meta.url);
globalThis.document = page;
globalThis.fetch = async (address) =>
	new Response(await readFile(new URL(new URL(address).pathname, WEB)));

export const load = (name) => import(new URL(name, WEB).href);
