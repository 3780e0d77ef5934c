/** The server's sentences in Chinese: web/sentences.mjs; more are in tests/web/test_sentences.py */
import assert from "node:assert/strict";
import test from "node:test";
import {load} from "./editor/load.mjs";

const {translate} = await load("sentences.mjs");

test("a sentence is told in Chinese with its values, one that nobody knows stays", async () => {
	for (const [said, told] of [
		["another model", "另一个底模"],
		["Saved 3 pictures in /out", "已在 /out 保存 3 张图片"],
		['"ink" cannot be read: no bias', "“ink”无法读取：没有偏置"],
		["Nobody says this.", "Nobody says this."],
		["", ""],
	]) {
		assert.equal(await translate(said), told);
	}
});

test("what stands in quotes is never translated", async () => {
	const unknown = '"Who? Another process was stopped. What?" Nobody says this.';
	for (const [said, told] of [
		['"another model" cannot be read: no bias', "“another model”无法读取：没有偏置"],
		[unknown, unknown],
	]) {
		assert.equal(await translate(said), told);
	}
});

test("sentences one after the other are told one by one", async () => {
	for (const [said, told] of [
		["Another process was stopped. What?", "另一个进程已停止。What?"],
		["What?\nAnother process was stopped.", "What?\n另一个进程已停止。"],
	]) {
		assert.equal(await translate(said), told);
	}
});

test("of an answer only what the server says is told, at any depth", async () => {
	const answer = (words) => ({
		name: "another model",
		error: words,
		notes: [{text: words, step: 3}],
		lines: [
			["name", "another model"],
			["layer norm", words],
		],
		found: null,
	});
	assert.deepEqual(await translate(answer("another model")), answer("另一个底模"));
});
