/** The drawing of a schedule: web/shown/schedule.mjs */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";

const {drawing} = await load("shown/schedule.mjs");

const schedule = (rates, more = {}) => ({
	points: rates.map((rate, step) => [step, rate]),
	steps: rates.length,
	stepped: false,
	learning_rate: "as typed",
	...more,
});
const lineOf = (found) => drawing(found).all("path")[0].attributes.d;
const heightsOf = (found) =>
	[...lineOf(found).matchAll(/[ML]\S+ (\S+?)(?=[LH])/g)].map((match) => Number(match[1]));
const labelsOf = (found) =>
	drawing(found)
		.all("text")
		.map((each) => each.textContent);

test("a list of rates is drawn in steps, any other schedule in slopes", () => {
	for (const [stepped, commands] of [
		[true, "MHVHVH"],
		[false, "MLLH"],
	]) {
		const line = lineOf(schedule([1e-4, 1e-5, 1e-6], {stepped}));
		assert.equal(line.replace(/[^A-Z]/g, ""), commands);
	}
});

test("equal factors are equally high, unless a rate is 0, which has no logarithm", () => {
	for (const [rates, share] of [
		[[1e-4, 1e-5, 1e-6], 0.5],
		[[1e-3, 1e-5, 1e-6], 2 / 3],
		[[1e-4, 5e-5, 0], 0.5],
		[[1e-4, 1e-5, 0], 0.9],
	]) {
		const [top, middle, bottom] = heightsOf(schedule(rates));
		assert.ok(top < middle && middle < bottom, `${rates}`);
		assert.ok(Math.abs((middle - top) / (bottom - top) - share) < 0.01, `${rates}`);
	}
});

test("the axis names the highest and the lowest rate, or the only one", () => {
	for (const [rates, labels] of [
		[
			[1e-6, 1.26e-4, 1e-5],
			["1.3e-4", "1e-6"],
		],
		[[5e-6, 5e-6], ["5e-6"]],
		[[0, 0], ["0e+0"]],
	]) {
		assert.deepEqual(labelsOf(schedule(rates)).slice(0, -2), labels);
	}
});

test("a rate that never changes is drawn in the middle, and ends at the right edge", () => {
	const line = lineOf(schedule([5e-6, 5e-6]));
	assert.equal(line, "M52.0 39.5L174.0 39.5H296.0");
});

test("those who cannot see the drawing are read the schedule as it was typed", () => {
	const {attributes} = drawing(schedule([1e-5], {learning_rate: "1e-5:100, 1e-6"}));
	assert.equal(attributes.role, "img");
	assert.equal(attributes["aria-label"], "Learning rate over the steps: 1e-5:100, 1e-6");
});
