/** A picture of the desk with its caption: where the words are from, and whether it is used. */
import {fresh} from "../language.js";
import {element} from "../panel.js";

const {say} = await import(fresh("./words.mjs"));
const {thumbnailOf} = await import(fresh("./pages.mjs"));

const SMALL = 150; // pixels, up to which the smallest thumbnail is sharp enough

export class Cells {
	/** @param {any} desk */
	constructor(desk) {
		this.desk = desk;
	}

	/** @type {(picture: Picture, place: number) => HTMLElement} */
	cell(picture, place) {
		const {name, unreadable, fault} = picture;
		const out = picture.excluded.length > 0;
		const broken = unreadable || fault;
		return element(
			"div",
			{
				class: `hypernet-cell ${out ? "hypernet-out" : ""} ${broken ? "hypernet-broken" : ""}`,
				"data-name": name,
			},
			element(
				"button",
				{
					type: "button",
					"data-role": "large",
					"aria-label": say("enlarge", name),
					title: name,
					onclick: () => this.desk.large.open(place),
				},
				broken ? element("span", {class: "hypernet-fault"}, broken) : this.image(picture),
			),
			captionOf(this.desk, picture),
			element(
				"div",
				{class: "hypernet-row"},
				element("span", {class: "hypernet-facts", title: told(picture)}, briefly(picture)),
				excluder(this.desk, picture),
			),
		);
	}

	image(/** @type {Picture} */ picture) {
		const side = this.desk.grid.zoom > SMALL ? 384 : 128;
		const seen = element("img", {
			src: thumbnailOf(this.desk.folder, picture, side),
			alt: "",
			loading: "lazy",
			draggable: "false",
		});
		const mask = picture.mask ? [element("span", {class: "hypernet-mark"}, "◐")] : [];
		return element("span", {class: "hypernet-seen"}, seen, ...mask);
	}
}

/** What is said of a picture in a line: its name, and the file that its words are from. */
export function told(/** @type {Picture} */ {name, words, source, becomes}) {
	const from = source || say(words ? "fromName" : "fromNothing");
	const then = becomes !== undefined && becomes !== words ? ` · ${say("becomes", becomes)}` : "";
	return `${name} · ${from}${then}`;
}

/** The same where there is little room: fox.png · .txt */
function briefly(/** @type {Picture} */ picture) {
	const {name, source} = picture;
	const stem = name.replace(/\.[^.]*$/, "");
	const base = name.replace(/^.*\//, "");
	return source.startsWith(`${stem}.`) ? `${base} · ${source.slice(stem.length)}` : told(picture);
}

/** @type {(desk: any, picture: Picture) => HTMLTextAreaElement} */
export function captionOf(desk, picture) {
	const {name, written, fault} = picture;
	const area = element("textarea", {
		"data-name": name,
		"data-role": "caption",
		"aria-label": say("caption", name),
		spellcheck: "false",
		readonly: Boolean(fault),
		class: written ? "" : "hypernet-unwritten",
		oninput: () => {
			desk.edit(picture, area.value);
			area.toggleAttribute("data-edited", name in desk.edits);
		},
	});
	area.value = desk.words(picture);
	area.toggleAttribute("data-edited", name in desk.edits);
	return area;
}

/** @type {(desk: any, picture: Picture) => HTMLButtonElement} */
export function excluder(desk, picture) {
	const out = picture.excluded.length > 0;
	const label = out
		? say("include", picture.name, picture.excluded.join(", "))
		: say("exclude", picture.name);
	return element(
		"button",
		{
			type: "button",
			"data-role": "exclude",
			"aria-label": label,
			title: label,
			onclick: () => desk.toggle(picture),
		},
		out ? "↺" : "⊘",
	);
}
