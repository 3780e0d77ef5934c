/** What panels know of nodes, and how they make elements: web/panel.js */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";

const {chain, element, linkedInputs, upstream, widgetValues} = await load("panel.js");

/** A node whose inputs are fed by other nodes, by name; null: an input without a link. */
function node(comfyClass, sources = {}, values = {}) {
	const feeding = Object.values(sources);
	return {
		comfyClass,
		type: comfyClass,
		inputs: Object.keys(sources).map((name) => ({name})),
		widgets: Object.entries(values).map(([name, value]) => ({name, value})),
		isInputConnected: (slot) => feeding[slot] !== null,
		getInputNode: (slot) => feeding[slot],
	};
}

test("an element has its attributes but those that are false or undefined", () => {
	const made = element("input", {
		type: "range",
		min: 0,
		hidden: true,
		open: false,
		title: undefined,
	});
	assert.deepEqual(made.attributes, {type: "range", min: "0", hidden: ""});
});

test("a function is called when its event comes, and no attribute", () => {
	const heard = () => {};
	const made = element("button", {onclick: heard});
	assert.deepEqual([made.listeners, made.attributes], [{click: heard}, {}]);
});

test("shapes are SVG's, everything else is HTML's", () => {
	for (const [kind, namespace] of [
		["path", "http://www.w3.org/2000/svg"],
		["svg", "http://www.w3.org/2000/svg"],
		["div", ""],
	]) {
		assert.equal(element(kind).namespace, namespace);
	}
});

test("text stays text, whatever it looks like", () => {
	const made = element("p", {}, "<b>", element("i", {}, "&amp;"));
	assert.deepEqual([made.children[0], made.textContent], ["<b>", "<b>&amp;"]);
});

test("the values of widgets are known unless a link gives one, or one is missing", () => {
	const source = node("Other");
	const values = {steps: 10, seed: 3, rest: 0};
	for (const [sources, names, found] of [
		[{}, ["steps", "seed"], {steps: 10, seed: 3}],
		[{steps: null}, ["steps", "seed"], {steps: 10, seed: 3}],
		[{rest: source}, ["steps", "seed"], {steps: 10, seed: 3}],
		[{steps: source}, ["steps", "seed"], undefined],
		[{}, ["steps", "pictures"], undefined],
	]) {
		assert.deepEqual(widgetValues(node("Train", sources, values), names), found);
	}
});

test("inputs with a link are known by name", () => {
	const found = linkedInputs(node("Train", {a: node("Other"), b: null, c: node("Other")}));
	assert.deepEqual([...found], ["a", "c"]);
});

test("the node above is found behind reroutes and behind nodes that hand the input on", () => {
	const loader = node("Load");
	const rerouted = node("Reroute", {"": node("Reroute", {"": loader})});
	const prepared = node("Prepare", {dataset: rerouted});
	const through = {Prepare: "dataset"};
	for (const [source, way, found] of [
		[loader, {}, loader],
		[rerouted, {}, loader],
		[prepared, {}, prepared],
		[prepared, through, loader],
		[node("Prepare", {dataset: null}), through, undefined],
		[null, through, undefined],
	]) {
		assert.equal(upstream(node("Caption", {dataset: source}), "dataset", way), found);
	}
	assert.equal(upstream(node("Caption"), "dataset"), undefined);
});

test("a hook that is chained is called after the one that was there, which answers", () => {
	const called = [];
	const here = {
		onRemoved(...given) {
			called.push(["its own", this, ...given]);
			return "answer";
		},
	};
	chain(here, "onRemoved", (...given) => called.push(["ours", ...given]));
	chain(here, "onExecuted", (output) => called.push(["alone", output]));
	assert.equal(here.onRemoved(1, 2), "answer");
	assert.equal(here.onExecuted("output"), undefined);
	assert.deepEqual(called, [
		["its own", here, 1, 2],
		["ours", 1, 2],
		["alone", "output"],
	]);
});
