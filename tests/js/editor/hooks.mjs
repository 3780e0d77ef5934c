/** Where ComfyUI serves its own scripts, there is our stand-in. */
const STAND_IN = new URL("scripts.mjs", import.meta.url).href;

export function resolve(specifier, context, next) {
	const asksForEditor = /\/scripts\/(app|api)\.js$/.test(specifier);
	return asksForEditor ? {url: STAND_IN, shortCircuit: true} : next(specifier, context);
}
