/** The curves of a training: web/train/curve.mjs */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "../editor/load.mjs";

const {lossRange, placeAt, stepAt, ticks} = await load("train/curve.mjs");

const curves = (smoothed, probe = []) => ({smoothed: {last: smoothed}, probe: {mean: probe}});
const rounded = (numbers) => numbers.map((each) => Number(each.toPrecision(9)));

test("marks of an axis are 1, 2 or 5 times a power of ten apart, and inside of it", () => {
	for (const [low, high, count, found] of [
		[0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
		[0.13, 0.21, 4, [0.14, 0.16, 0.18, 0.2]],
		[1, 1000, 4, [500, 1000]],
		[-3, 3, 6, [-3, -2, -1, 0, 1, 2, 3]],
		[0, 0.0009, 3, [0, 0.0005]],
		[7, 7, 3, [7]],
	]) {
		assert.deepEqual(rounded(ticks(low, high, count)), found, `${low} to ${high}`);
	}
});

test("losses are drawn with room above and below", () => {
	for (const [smoothed, probe, range] of [
		[[1, 2], [], [0.92, 2.08]],
		[[1, 2], [3], [0.84, 3.16]],
		[[5], [], [4.6, 5.4]],
		[[0], [], [-0.08, 0.08]],
	]) {
		assert.deepEqual(rounded(lossRange(curves(smoothed, probe))), range);
	}
});

test("one loss in fifty at either end does not flatten the rest, but a probe always counts", () => {
	const usual = Array.from({length: 96}, (_, place) => 1 + place / 95);
	for (const [probe, range] of [
		[[], [0.92, 2.08]],
		[[9], [0.36, 9.64]],
	]) {
		assert.deepEqual(rounded(lossRange(curves([100, 90, ...usual, -90, -100], probe))), range);
	}
});

test("the place of a step is that of the last point at or before it", () => {
	for (const [step, place] of [
		[9, -1],
		[10, 0],
		[19, 0],
		[20, 1],
		[Infinity, 2],
	]) {
		assert.equal(placeAt({step: [10, 20, 30]}, step), place);
	}
	assert.equal(placeAt({step: []}, 5), -1);
});

test("a place of the canvas is a step, and what is beside the plot is its nearest end", () => {
	const canvas = {clientWidth: 246}; // 200 of it between the edges
	for (const [x, step] of [
		[0, 100],
		[38, 100],
		[138, 200],
		[238, 300],
		[9999, 300],
	]) {
		assert.equal(stepAt(canvas, {loss: {step: [100, 150, 300]}}, x), step);
	}
});
