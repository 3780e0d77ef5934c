/** The dialog that an editor's command opens: what a network's file holds. */
import {notice} from "./desk.js";
import {fresh, words} from "./language.js";
import {ask, element} from "./panel.js";

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
	openDialog(say.files, ...(names.length ? [list, place] : [say.empty]));
}

/** @type {(title: string, ...content: (string | Node)[]) => void} */
function openDialog(title, ...content) {
	const close = element("button", {type: "button", onclick: () => dialog.close()}, say.close);
	const dialog = element(
		"dialog",
		{
			class: "hypernet-box hypernet-dialog",
			"aria-label": title,
			onclose: () => dialog.remove(),
			onkeydown: ({key}) => key === "Escape" && dialog.close(), // some editors hold it back
		},
		element("b", {}, title),
		...content,
		close,
	);
	document.body.append(dialog);
	dialog.showModal();
}

function complain(/** @type {Error} */ fault) {
	notice("error", say.failed, fault.message);
	throw fault;
}
