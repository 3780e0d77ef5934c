/** Names of choices in a Chinese editor: web/labels.js */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";
import {settings} from "./editor/scripts.mjs";

settings.set("Comfy.Locale", "zh");
const {labelChoices} = await load("labels.js");

test("a choice is shown in Chinese with its value beside it, and names stay as they are", () => {
	const menu = {type: "combo", options: {}};
	labelChoices({widgets: [{type: "number"}, menu]});
	const label = menu.options.getOptionLabel;
	assert.equal(label("quick look"), "快速试看 · quick look");
	for (const name of ["AdamW", "my_style.pt", "constructor"]) assert.equal(label(name), name);
});
