/** The dialog that an editor's command opens: what a network's file holds. */
import {notice} from "./desk.js";
import {fresh, words} from "./language.js";
import {ask, button, element} from "./panel.js";

const {openModal} = await import(fresh("./modal.mjs"));
const {showFile} = await import(fresh("./shown/file.mjs"));

const say = words("desk");

export async function inspect() {
	/** @type {{names: string[]}} */
	const {names} = await ask("files").catch(complain);
	const place = element("div", {class: "hypernet-panel"});
	const list = element(
		"select",
		{
			size: Math.min(Math.max(names.length, 2), 8),
			"aria-label": say.files,
			onchange: () => show(list.value),
		},
		...names.map((name) => element("option", {}, name)),
	);
	const show = (/** @type {string} */ name) =>
		ask(`file?name=${encodeURIComponent(name)}`).then(
			(found) => list.value === name && showFile(found, place),
			(fault) => place.replaceChildren(element("p", {class: "hypernet-fault"}, fault.message)),
		);
	if (names.length) {
		list.value = names[0];
		show(names[0]);
	}
	openModal(say.files, "", (close) => [
		element("b", {}, say.files),
		...(names.length ? [list, place] : [say.empty]),
		button(say.close, {onclick: close}),
	]);
}

function complain(/** @type {Error} */ fault) {
	notice("error", say.failed, fault.message);
	throw fault;
}
