/** Train Hypernet's widgets are shown in one order and saved in another: web/train/order.js */
import assert from "node:assert/strict";
import test from "node:test";
import {settings} from "../editor/scripts.mjs";
import {load} from "../editor/load.mjs";

const {inOrder, putInOrder, sectionOf} = await load("train/order.js");
const {ALWAYS, SECTIONS} = await load("train/sections.js");
const INPUTS = ["name", "steps", "save_every", "resume", "preview_prompt", "preview_cfg", "loss"];
const DEFAULTS = ["my_style", 0, 500, true, "", 7, "MSE"];
const SAVED = ["ink", 300, 100, false, "a fox", 4.5, "Huber"];

/** A node that keeps its values by places, as the editor's do. */
function node() {
	const made = {
		properties: {},
		size: [300, 0],
		inputs: [],
		widgets: INPUTS.map((name, place) => ({name, value: DEFAULTS[place], options: {}})),
		addWidget(type, name, value, callback) {
			const widget = {type, name, value, callback, options: {}};
			this.widgets.push(widget);
			return widget;
		},
		computeSize() {
			return [300, 20 * this.widgets.filter((each) => !each.hidden).length];
		},
		setSize(size) {
			this.size = size;
		},
		setDirtyCanvas() {},
		configure(saved) {
			Object.assign(this.properties, saved.properties);
			const kept = this.widgets.filter((each) => each.serialize !== false);
			saved.widgets_values.forEach((value, place) => (kept[place].value = value));
		},
	};
	putInOrder(made);
	made.onRemoved?.(); // or its pulse keeps the test alive
	return made;
}

const named = (made, name) => made.widgets.find((each) => each.name === name);
const shown = (made) => made.widgets.filter((each) => !each.hidden).map((each) => each.name);
const values = (made) => INPUTS.map((name) => named(made, name).value);

function saved(made) {
	const data = {widgets_values: made.widgets.map((each) => each.value)}; // wrong, by what is shown
	made.onSerialize(data);
	return data.widgets_values;
}

test("values are read and written by the node's own places, however they are shown", () => {
	const made = node();
	assert.notDeepEqual(shown(made).slice(0, INPUTS.length), INPUTS);
	made.configure({widgets_values: SAVED});
	assert.deepEqual(values(made), SAVED);
	assert.deepEqual(saved(made), SAVED);
});

test("what an older workflow lacks keeps its default", () => {
	const made = node();
	made.configure({widgets_values: SAVED.slice(0, 3)});
	assert.deepEqual(values(made), [...SAVED.slice(0, 3), ...DEFAULTS.slice(3)]);
});

test("a value of another extension's widget comes last", () => {
	const made = node();
	made.widgets.unshift({name: "theirs", value: 1, options: {}});
	assert.deepEqual(saved(made), [...DEFAULTS, 1]);
});

test("a click on its header opens a section, and the next one closes it", () => {
	const made = node();
	const high = made.size[1];
	const headers = Object.keys(SECTIONS).map((section) => `section_${section}`);
	assert.deepEqual(shown(made), ["name", "steps", "preview_prompt", ...headers]);
	named(made, "section_saving").callback();
	assert.deepEqual(shown(made).slice(4, 7), ["section_saving", "resume", "save_every"]);
	assert.equal(made.size[1], high + 40);
	assert.equal(made.properties.open_sections, "saving");
	named(made, "section_saving").callback();
	assert.deepEqual([shown(made).length, made.size[1]], [3 + headers.length, high]);
});

test("a header counts what is not as it was when the node was made", () => {
	const made = node();
	assert.equal(named(made, "section_saving").label, "▸ Names and saving");
	made.configure({widgets_values: SAVED});
	assert.equal(named(made, "section_saving").label, "▸ Names and saving · 2 changed");
	assert.equal(named(made, "section_memory").label, "▸ Speed and memory");
});

test("sections are open where they were when it was saved, or all where all was shown", () => {
	const some = node();
	some.configure({widgets_values: SAVED, properties: {open_sections: "learning"}});
	assert.deepEqual(shown(some).filter(sectionOf), ["loss"]);
	const all = node();
	all.configure({widgets_values: SAVED, showAdvanced: true});
	assert.deepEqual(shown(all).filter(sectionOf).length, 4);
});

test("a linked setting is shown, and all are where the editor always shows them", () => {
	const made = node();
	made.inputs = [{name: "loss"}];
	made.isInputConnected = () => true;
	made.configure({widgets_values: SAVED});
	assert.deepEqual(shown(made).filter(sectionOf), ["loss"]);
	settings.set("Comfy.Node.AlwaysShowAdvancedWidgets", true);
	assert.deepEqual(shown(node()).filter(sectionOf).length, 4);
	settings.clear();
});

test("what belongs nowhere comes last, in the order that it had", () => {
	const names = ["new_2", "new_1", ALWAYS[1], ALWAYS[0]];
	const sorted = inOrder(names.map((name) => ({name}))).map((each) => each.name);
	assert.deepEqual(sorted, [ALWAYS[0], ALWAYS[1], "new_2", "new_1"]);
});
