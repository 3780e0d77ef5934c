/** Captions that are not saved yet: they are kept, saved, thrown away, and asked about. */
import {notice} from "../desk.js";
import {fresh} from "../language.js";
import {ask, button, element, renewPanels} from "../panel.js";
import {keyOf, unsaved} from "../pictures.js";

const {openModal} = await import(fresh("../modal.mjs"));
const {say} = await import(fresh("./words.mjs"));

/** @type {Map<string, string>} what Run has been told to leave alone, by folder */
const left = new Map();

// the browser asks before it leaves the page
window.addEventListener("beforeunload", (event) => unsaved.size && event.preventDefault());

/** @type {(folder: Folder) => {[name: string]: string}} */
export const editsOf = (folder) => unsaved.get(keyOf(folder)) ?? {};

/** @type {(folder: Folder, edits: {[name: string]: string}) => void} */
export function keep(folder, edits) {
	if (Object.keys(edits).length) unsaved.set(keyOf(folder), edits);
	else unsaved.delete(keyOf(folder));
}

/**
 * What is to be said about it. Captions that could not be written stay unsaved.
 * @type {(folder: Folder) => Promise<{said: string, whole: boolean}>}
 */
export async function save(folder) {
	const edits = editsOf(folder);
	/** @type {{saved: string[], faults: {[name: string]: string}, kept: number}} */
	const {saved, faults, kept} = await ask("captions", {
		folder: folder.folder,
		subfolders: folder.subfolders,
		edits,
	});
	const rest = {...editsOf(folder)};
	for (const name of saved) if (rest[name] === edits[name]) delete rest[name];
	keep(folder, rest);
	renewPanels();
	const said = kept ? say("savedKept", saved.length, kept) : say("saved", saved.length);
	const wrong = Object.values(faults);
	return {said: [said, ...wrong].join("\n"), whole: !wrong.length};
}

/**
 * Throws what stops the run, if the user wants that.
 * @type {(folder: Folder) => Promise<void>}
 */
export async function beforeRun(folder) {
	const edits = editsOf(folder);
	const count = Object.keys(edits).length;
	if (!count) return;
	const told = say("unsavedHere", count, folder.folder);
	const state = JSON.stringify(edits);
	if (left.get(keyOf(folder)) === state) return notice("warn", told, say("ranWithout"));
	const answer = await choose(`${told} ${say("runReads")}`, [
		["save", say("saveAndRun")],
		["without", say("runWithout")],
	]);
	if (answer === "without") return void left.set(keyOf(folder), state);
	if (answer !== "save") throw new Error(say("notRun"));
	const {said, whole} = await save(folder);
	if (!whole) throw new Error(said);
	notice("success", say("title"), said);
}

/**
 * One of some answers, or undefined: the user wants none of them.
 * @type {(question: string, answers: [string, string][]) => Promise<string | undefined>}
 */
export const choose = (question, answers) =>
	new Promise((resolve) => {
		/** @type {string | undefined} */
		let chosen;
		const content = (/** @type {() => void} */ close) => {
			const end = (/** @type {string} */ answer) => {
				chosen = answer;
				close();
			};
			const buttons = answers.map(([answer, label]) => button(label, {onclick: () => end(answer)}));
			const cancel = button(say("cancel"), {onclick: close});
			return [
				element("p", {}, question),
				element("div", {class: "hypernet-row"}, ...buttons, cancel),
			];
		};
		openModal(question, "hypernet-question", content, () => resolve(chosen));
	});
