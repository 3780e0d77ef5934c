/** Numbers and times as the live view says them: web/train/words.mjs */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "../editor/load.mjs";

const {duration, say, short, whole} = await load("train/words.mjs");

test("whole numbers have their thousands apart, and one that is not known is a dash", () => {
	for (const [number, words] of [
		[0, "0"],
		[1234567, "1,234,567"],
		[null, "–"],
		[undefined, "–"],
	]) {
		assert.equal(whole(number), words);
	}
});

test("a number has three digits, whatever its size", () => {
	for (const [number, words] of [
		[0, "0"],
		[0.0123456, "0.0123"],
		[0.001, "0.001"],
		[-0.5, "-0.5"],
		[123456, "123000"],
		[5e-6, "5e-6"],
		[1.234e-5, "1.23e-5"],
		[-2.5e7, "-2.5e+7"],
		[null, "–"],
	]) {
		assert.equal(short(number), words);
	}
});

test("a time is said in seconds, then in minutes, then in hours", () => {
	for (const [seconds, words] of [
		[0.4, "0 s"],
		[89, "89 s"],
		[90, "2 min"],
		[5369, "89 min"],
		[5400, "1 h 30 min"],
		[7500, "2 h 05 min"],
	]) {
		assert.equal(duration(seconds), words);
	}
});

test("a sentence has its values in their places", () => {
	assert.equal(say("count", "3", "10"), "3 of 10");
	assert.equal(say("memory", "$1", "{0}"), "$1 of {0} GB");
});
