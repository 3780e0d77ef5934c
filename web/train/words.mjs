/** What the live view says. */
import {fresh, saying, words} from "../language.js";

/** @type {typeof import("../words/training.mjs").default} */
const table = (await import(fresh("../words/training.mjs"))).default;

export const text = words(table);
export const say = saying(text);

/** 1234 as "1,234"; null as "–". */
export function whole(number) {
	return number == null ? "–" : number.toLocaleString("en");
}

/** Under the preview after a step. */
export const captionOf = (step) => (step === 0 ? text.bare : whole(step));

/** Three digits of a number of any size: 0.0123, 5e-6. */
export function short(number) {
	if (number == null) return "–";
	const size = Math.abs(number);
	if (size && (size < 1e-3 || size >= 1e6)) return number.toExponential(2).replace(/\.?0*e/, "e");
	return String(Number(number.toPrecision(3)));
}

/** Seconds as people say them. */
export function duration(seconds) {
	if (seconds < 90) return say("seconds", Math.round(seconds));
	const minutes = Math.round(seconds / 60);
	if (minutes < 90) return say("minutes", minutes);
	return say("hours", Math.floor(minutes / 60), String(minutes % 60).padStart(2, "0"));
}
