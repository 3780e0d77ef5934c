/** All of the editor extension together; what comes at start is in tests/web/test_extension.py */
import assert from "node:assert/strict";
import {readdir, readFile} from "node:fs/promises";
import test from "node:test";
import {transform} from "esbuild";

const WEB = new URL("../../web/", import.meta.url);
const MOST = 90_000; // bytes

test("minified, which is how JavaScript is counted, it is small", async () => {
	const names = (await readdir(WEB, {recursive: true})).filter((name) => /\.m?js$/.test(name));
	const sizes = await Promise.all(
		names.map(async (name) => {
			const {code} = await transform(await readFile(new URL(name, WEB)), {
				minify: true,
				charset: "utf8",
			});
			return Buffer.byteLength(code);
		}),
	);
	const all = sizes.reduce((sum, size) => sum + size);
	assert.ok(names.length > 30 && all <= MOST, `${all} bytes`);
});
