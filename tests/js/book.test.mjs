/** Curves of several runs over one another: web/book.mjs */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";

const {plot} = await load("book.mjs");

const curve = (count, value) => [
	Array.from({length: count}, (_, n) => n + 1),
	Array.from({length: count}, (_, n) => value(n)),
];
const pathsOf = (found) => found.all("path").map((path) => path.attributes);
/** The places that a path goes through. */
const places = ({d}) =>
	d
		.split(/[ML]/)
		.slice(1)
		.map((place) => place.split(" ").map(Number));

test("every run is a path of its own, on axes that all share", () => {
	const found = plot([curve(100, () => 0.5), curve(50, () => 0.25)], "Loss");
	const paths = pathsOf(found);
	assert.deepEqual(
		paths.map((path) => path.class),
		["hypernet-run-0", "hypernet-run-1"],
	);
	const [[first], [second]] = paths.map(places);
	assert.equal(first[0], second[0], "both begin with step 1");
	assert.ok(first[1] < second[1], "a higher loss is further up");
	const [long, short] = paths.map((path) => places(path).at(-1)[0]);
	assert.ok(short < 0.6 * long, "half as many steps go half as far");
});

test("a run without a curve leaves the others' colours as they are", () => {
	const [none, other] = pathsOf(plot([[[], []], curve(3, (n) => n)], "Probe"));
	assert.equal(none.d, "");
	assert.equal(other.class, "hypernet-run-1");
});

test("nothing is drawn of no numbers, and one number has its place", () => {
	assert.equal(plot([[[], []]], "Probe").kind, "span");
	for (const [x, y] of places(pathsOf(plot([[[7], [0.5]]], "Probe"))[0]))
		assert.ok(Number.isFinite(x) && Number.isFinite(y));
});

test("a single outlier does not press the curve to the ground", () => {
	const [path] = pathsOf(plot([curve(200, (n) => (n ? 0.1 + (n % 2) / 100 : 50))], "Loss"));
	const heights = places(path).slice(1);
	const ys = heights.map(([, y]) => y);
	assert.ok(Math.max(...ys) - Math.min(...ys) > 80);
});
