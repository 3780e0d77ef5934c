/** What the dataset desk writes into Load Dataset's `exclude`: web/album/pages.mjs */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";

const {lineOf, thumbnailOf, withLines, withoutLines} = await load("album/pages.mjs");

test("names are added once, behind what stands there", () => {
	for (const [text, names, found] of [
		["", ["a.png"], "a.png"],
		["old/*\n", ["a.png", "b.png"], "old/*\na.png\nb.png"],
		[" a.png \n\n", ["a.png"], "a.png"],
		["", ["two\nlines.png"], "two?lines.png"],
	])
		assert.equal(withLines(text, names), found);
});

test("lines go, and no others", () => {
	assert.equal(withoutLines("a.png\n*.gif\nb.png", ["*.gif"]), "a.png\nb.png");
	assert.equal(withoutLines("a.png", [lineOf("a.png")]), "");
});

test("a name is part of an address whatever is in it", () => {
	const address = thumbnailOf({folder: "a&b", subfolders: true}, {name: "?#.png", version: "1"});
	const asked = new URLSearchParams(address.slice(address.indexOf("?")));
	assert.deepEqual([asked.get("folder"), asked.get("name")], ["a&b", "?#.png"]);
});
