/** The drawing of a network: web/shown/network.mjs */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";

const {drawing} = await load("shown/network.mjs");

const PLAIN = {factor: "1", share: 1, activation: "", layer_norm: false, dropout: 0};
const columns = (...changes) => changes.map((change) => ({...PLAIN, ...change}));
const kinds = (found, kind) => drawing(found).all(kind);
/** What a token meets on its way: all but the factors under the columns. */
const marksOf = (found) =>
	kinds(found, "text")
		.filter((each) => each.children.length > 1)
		.map((each) => [each.children[0], each.children[1].textContent]);

test("every entry of the structure is a column, and a way leads from each to the next", () => {
	for (const count of [2, 3, 7]) {
		const found = columns(...Array(count).fill({}));
		assert.equal(kinds(found, "rect").length, count);
		assert.equal(kinds(found, "path").length, count - 1);
	}
});

test("a column is as high as its share, and never too low to be seen", () => {
	for (const [share, height] of [
		[1, 58],
		[0.5, 29],
		[0.001, 3],
	]) {
		const [, column] = kinds(columns({}, {share}), "rect");
		assert.equal(column.attributes.height, String(height));
	}
});

test("a way is as high at its ends as the columns there", () => {
	const [way] = kinds(columns({share: 1}, {share: 0.5}), "path");
	assert.equal(way.attributes.d, "M97 2L143 16.5V45.5L97 60Z");
});

test("what follows a layer is named in A1111's order, and long names are cut", () => {
	for (const [change, marks] of [
		[{}, []],
		[{activation: "relu"}, [["relu", "relu"]]],
		[{activation: "hardsigmoid"}, [["hardsigm…", "hardsigmoid"]]],
		[
			{activation: "mish", layer_norm: true, dropout: 0.25},
			[
				["mish", "mish"],
				["norm", "layer norm"],
				["−25%", "dropout 0.25"],
			],
		],
	]) {
		assert.deepEqual(marksOf(columns({}, change)), marks);
	}
});

test("those who cannot see the drawing are read every column with what leads to it", () => {
	const found = columns({}, {factor: "2", activation: "relu", layer_norm: true}, {});
	assert.equal(drawing(found).attributes["aria-label"], "1, 2 relu layer norm, 1");
});
