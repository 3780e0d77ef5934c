/**
 * What the server says, in Chinese. words/sentences.zh.json has its sentences as templates, where
 * {0}, {1} … are values. A value may hold sentences in turn; one in quotes stays as it is, and so
 * does one that the Chinese marks {0!}. Of all readings of a text that one counts which knows most.
 */
import {chinese} from "./language.js";

/** Keys of an answer under which the server says something. */
const SAID = new Set(["error", "said", "why", "warnings", "notes", "fault", "faults"]);
const BETWEEN = /(?<=[.!?]) |\n/g; // sentences
const LISTED = [/; /g, / and /g]; // within one
/** @type {{[mark: string]: string}} */
const JOINTS = {" ": "", "\n": "\n", "; ": "；", ", ": "、", " and ": "，"};
const WEAK = 8; // letters: what begins with a value and says less might be anyone's
const [LONGEST, READINGS, KEPT] = [3000, 1000, 1000]; // letters, tries for a text, texts

/**
 * @typedef {object} Template
 * @property {string[]} pieces the English, cut where it has values
 * @property {string} chinese
 * @property {number} known letters
 * @property {boolean[]} verbatim by value: it stays as it is
 * @property {number} long letters and all else but the values
 * @property {boolean} weak it might be said by anyone
 *
 * @typedef {{known: number, words: string}} Reading known: how many letters are a template's
 * @typedef {(text: string, first: boolean) => Reading} Reads first: the text is all that was said
 */

/** @type {Template[] | undefined} */
let templates;
let left = 0; // readings
/** @type {Map<string, Reading>} */
const memo = new Map();

/** @param {any} found a sentence, or an answer with sentences in it */
export async function translate(found) {
	templates ??= await load();
	return walk(found, typeof found === "string");
}

async function load() {
	/** @type {{[english: string]: string}} */
	const pairs = await chinese("sentences");
	const made = Object.entries(pairs).map(([english, chinese]) => {
		const pieces = english.split(/\{\d\}/);
		const fixed = pieces.join("");
		const known = fixed.replace(/[^a-z]/gi, "").length;
		const verbatim = pieces
			.slice(1)
			.map(
				(piece, place) =>
					chinese.includes(`{${place}!}`) || (pieces[place].endsWith('"') && piece.startsWith('"')),
			);
		return {
			pieces,
			chinese,
			known,
			verbatim,
			long: fixed.length,
			weak: known < WEAK && /^"?\{0/.test(english),
		};
	});
	return made.sort((a, b) => b.long - a.long);
}

/** @type {(found: any, said: boolean) => any} */
function walk(found, said) {
	if (typeof found === "string") return said ? inChinese(found) : found;
	if (Array.isArray(found)) return found.map((each) => walk(each, said));
	if (!found || typeof found !== "object") return found;
	const each = (/** @type {[string, any]} */ [key, value]) => [
		key,
		key === "lines" ? value.map(fact) : walk(value, said || SAID.has(key)),
	];
	return Object.fromEntries(Object.entries(found).map(each));
}

const fact = (/** @type {[string, string]} */ [label, text]) => [
	label,
	label === "name" ? text : inChinese(text),
];

/** @type {(text: string) => string} */
function inChinese(text) {
	if (memo.size > KEPT) memo.clear();
	left = READINGS;
	if (text.length <= LONGEST) return read(text, true).words;
	return text.includes("\n") ? text.split("\n").map(inChinese).join("\n") : text;
}

/** @type {Reads} */
function read(text, first) {
	const key = first + text;
	const found = memo.get(key) ?? inParts(text, first);
	if (left >= 0) memo.set(key, found);
	return found;
}

/**
 * Rather in parts than as one, where both know as much, but for commas: values hold them, too.
 * @type {Reads}
 */
function inParts(text, first) {
	let best = {known: 0, words: text};
	const choose = (/** @type {Reading} */ other) => {
		if (other.known > best.known) best = other;
	};
	for (const marks of first ? [BETWEEN] : [BETWEEN, ...LISTED]) split(text, marks, first, choose);
	choose(whole(text, first));
	if (!first) split(text, /, /g, first, choose);
	return best;
}

/**
 * @param {string} text
 * @param {RegExp} marks
 * @param {boolean} first
 * @param {(other: Reading) => void} choose
 */
function split(text, marks, first, choose) {
	for (const {0: mark, index} of text.matchAll(marks)) {
		if (left < 0) return;
		if (isOpen(text.slice(0, index))) continue;
		const head = whole(text.slice(0, index), first);
		const rest = read(text.slice(index + mark.length), first);
		const joint = head.known ? JOINTS[mark] : mark;
		choose({known: head.known + rest.known, words: head.words + joint + rest.words});
	}
}

/**
 * Does a template that says little fit by chance?
 * @param {string} value the first one
 * @param {Reading} part what that says
 * @param {number} known of the whole text
 * @param {boolean} first
 * @param {Template} template
 */
function isChance(value, part, known, first, {verbatim}) {
	if (first) return known < WEAK || value.search(BETWEEN) >= 0;
	return !part.known && !verbatim[0] && / [a-z]/i.test(value.replace(/"[^"]*"/g, ""));
}

/**
 * As one template says it.
 * @type {Reads}
 */
function whole(text, first) {
	let best = {known: 0, words: text};
	if (left-- < 0) return best;
	for (const template of templates ?? []) {
		const values = valuesOf(template, text);
		if (!values) continue;
		const parts = values.map((value, place) =>
			template.verbatim[place] ? {known: 0, words: value} : read(value.trim(), false),
		);
		const known = parts.reduce((sum, part) => sum + part.known, template.known);
		if (template.weak && isChance(values[0], parts[0], known, first, template)) continue;
		if (known > best.known)
			best = {
				known,
				words: template.chinese.replace(/\{(\d)!?\}/g, (_, place) => parts[Number(place)].words),
			};
	}
	return best;
}

const isOpen = (/** @type {string} */ text) => text.split('"').length % 2 === 0; // a quote is

/**
 * What stands in the places of a template, or undefined where the text is another: each value the
 * shortest that closes its quotes, without ever going back.
 * @type {(template: Template, text: string) => string[] | undefined}
 */
function valuesOf({pieces, verbatim}, text) {
	const last = pieces.length - 1;
	const end = text.length - pieces[last].length;
	if (!text.startsWith(pieces[0]) || !text.endsWith(pieces[last]) || (!last && end))
		return undefined;
	const values = [];
	let from = pieces[0].length;
	for (let place = 1; place <= last; place++) {
		let at = place === last ? end : text.indexOf(pieces[place], from);
		const cut = () => !verbatim[place - 1] && isOpen(text.slice(from, at));
		while (place < last && at >= 0 && cut()) at = text.indexOf(pieces[place], at + 1);
		if (at < from || cut()) return undefined;
		values.push(text.slice(from, at));
		from = at + pieces[place].length;
	}
	return values;
}
