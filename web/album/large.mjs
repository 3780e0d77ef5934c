/** One picture as large as the desk, with its mask if it has one. */
import {fresh} from "../language.js";
import {button, element} from "../panel.js";

const {say} = await import(fresh("./words.mjs"));
const {captionOf, excluder, told} = await import(fresh("./cells.mjs"));
const {thumbnailOf} = await import(fresh("./pages.mjs"));

const SIDE = 1536; // pixels

export class Large {
	/** @param {any} desk */
	constructor(desk) {
		this.desk = desk;
		/** @type {number | undefined} which of those that are shown; none while it is closed */
		this.place = undefined;
		this.masked = true;
		this.root = element("section", {class: "hypernet-large", hidden: true});
	}

	async open(/** @type {number} */ place) {
		const picture = await this.desk.grid.pictureAt(place);
		if (!picture) return;
		const opened = this.place === undefined;
		this.place = place;
		this.name = picture.name;
		this.show(picture);
		if (opened) /** @type {HTMLElement | null} */ (this.root.querySelector("button"))?.focus();
	}

	show(/** @type {Picture} */ picture) {
		const turn = (/** @type {number} */ by) => {
			const to = (this.place ?? 0) + by;
			return button(say(by < 0 ? "previous" : "next"), {
				disabled: to < 0 || to >= this.desk.grid.found,
				onclick: () => this.turn(by),
			});
		};
		const back = button(say("back"), {onclick: () => this.close()});
		this.root.replaceChildren(
			element(
				"div",
				{class: "hypernet-row"},
				back,
				turn(-1),
				turn(1),
				element("span", {class: "hypernet-facts"}, told(picture)),
				...this.masking(picture),
				excluder(this.desk, picture),
			),
			this.image(picture),
			captionOf(this.desk, picture),
		);
		this.root.classList.toggle("hypernet-out", picture.excluded.length > 0);
		this.root.hidden = false;
		this.desk.grid.root.inert = true; // it lies below
	}

	/** Dark where nothing is learnt. */
	masking(/** @type {Picture} */ picture) {
		if (!picture.mask) return [];
		const tick = element("input", {
			type: "checkbox",
			checked: this.masked,
			onchange: () => {
				this.masked = tick.checked;
				this.root.toggleAttribute("data-masked", this.masked);
			},
		});
		this.root.toggleAttribute("data-masked", this.masked);
		return [element("label", {title: picture.mask}, tick, say("mask"))];
	}

	image(/** @type {Picture} */ picture) {
		const broken = picture.unreadable || picture.fault;
		const {folder} = this.desk;
		const seen = element("img", {src: thumbnailOf(folder, picture, SIDE), alt: picture.name});
		const mask = element("img", {
			class: "hypernet-mask",
			src: picture.mask ? thumbnailOf(folder, picture, SIDE, true) : "",
			alt: picture.mask,
		});
		return element(
			"div",
			{class: "hypernet-seen"},
			...(broken ? [element("p", {class: "hypernet-fault"}, broken)] : [seen]),
			...(picture.mask && !broken ? [mask] : []),
		);
	}

	async turn(/** @type {number} */ by) {
		await this.open((this.place ?? 0) + by);
		const [, before, after] = this.root.querySelectorAll("button");
		const same = by < 0 ? before : after;
		(same.disabled ? (by < 0 ? after : before) : same).focus();
	}

	/** What is known of it may be other by now. */
	async renew() {
		if (this.place === undefined) return;
		const picture = await this.desk.grid.pictureAt(this.place);
		if (picture?.name !== this.name) return this.close();
		this.show(picture);
		/** @type {HTMLElement | null} */ (this.root.querySelector("[data-role=exclude]"))?.focus();
	}

	close() {
		if (this.place === undefined) return;
		this.place = undefined;
		this.root.hidden = true;
		this.root.replaceChildren();
		this.desk.grid.root.inert = false;
		this.desk.grid.redraw();
		const cell = this.desk.grid.cells.find(({dataset}) => dataset.name === this.name);
		(cell?.querySelector("button") ?? this.desk.grid.root).focus();
	}
}
