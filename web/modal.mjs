/** A dialog over the page, which Escape closes, also where editors hold that key back. */
import {element} from "./panel.js";

/** @type {OpensModal} */
export function openModal(label, kind, content, then) {
	const dialog = element(
		"dialog",
		{
			class: `hypernet-box hypernet-dialog ${kind}`,
			"aria-label": label,
			onclose: () => {
				dialog.remove();
				then?.();
			},
			onkeydown: (event) => {
				event.stopPropagation(); // the editor's keys are for its graph
				if (event.key !== "Escape") return;
				event.preventDefault();
				dialog.close();
			},
		},
		...content(() => dialog.close()),
	);
	document.body.append(dialog);
	dialog.showModal();
}
