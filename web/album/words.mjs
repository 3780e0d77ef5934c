/** What the album says, in the editor's language. */
import {fresh, saying, words} from "../language.js";

/** @type {typeof import("../words/album.mjs").default} */
const table = (await import(fresh("../words/album.mjs"))).default;

export const say = saying(words(table));
