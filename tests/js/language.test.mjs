/** Words in the language of the editor: web/language.js */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";
import {settings} from "./editor/scripts.mjs";

const {fresh, translated, words} = await load("language.js");
const say = words("desk");

test("words are in the editor's language, or in English where nobody has translated", async () => {
	for (const [language, close] of [
		[undefined, "Close"],
		["zh", "关闭"],
		["de", "Close"],
		["zh-TW", "关闭"],
	]) {
		settings.set("Comfy.Locale", language);
		await translated("");
		assert.equal(say.close, close, language);
	}
});

test("the former language stays until the other has been loaded", async () => {
	settings.set("Comfy.Locale", "en");
	await translated("");
	settings.set("Comfy.Locale", "zh");
	assert.equal(say.close, "Close");
	await translated("");
	assert.equal(say.close, "关闭");
});

test("what the server says is translated in a Chinese editor alone", async () => {
	for (const [language, told] of [
		["en", "another model"],
		["zh", "另一个底模"],
	]) {
		settings.set("Comfy.Locale", language);
		assert.equal(await translated("another model"), told);
	}
});

test("a file that is loaded on demand has one address in a page", () => {
	assert.equal(fresh("./a.mjs"), fresh("./a.mjs"));
	assert.match(fresh("./a.mjs"), /^\.\/a\.mjs\?\d/);
});
