/**
 * Previews in a row, the newest on the right; a slider goes back in time, a click enlarges. There
 * are never more pictures in the page than fit into the row, whatever the run has drawn.
 */
import {element} from "../panel.js";
import {fresh} from "../language.js";

const {captionOf, say, text, whole} = await import(fresh("./words.mjs"));
const {previewAddress} = await import(fresh("./source.mjs"));

const ROOM = 68; // pixels for one picture

export class Strip {
	constructor() {
		this.run = {name: "", began: 0};
		/** @type {number[]} */
		this.steps = [];
		/** @type {ReturnType<Strip["makePicture"]>[]} */
		this.pictures = [];
		this.chosen = 0; // place in steps of the one on the right
		this.row = element("div", {class: "row", role: "group"});
		this.slider = this.makeSlider();
		this.root = element("div", {class: "strip", hidden: true}, this.row, this.slider);
		this.big = element("img");
		this.caption = element("output");
		this.bigSlider = this.makeSlider();
		this.close = element("button", {type: "button", onclick: () => this.dialog.close()});
		this.dialog = element(
			"dialog",
			{},
			this.big,
			element("footer", {}, this.caption, this.bigSlider, this.close),
		);
		this.dialog.addEventListener("click", (event) => {
			if (event.target === this.dialog) this.dialog.close(); // beside the picture
		});
	}

	makeSlider() {
		const choose = (event) => this.choose(Number(event.target.value));
		return element("input", {type: "range", min: 0, step: 1, oninput: choose});
	}

	show(/** @type {RunAnswer | null} */ state) {
		const steps = state?.previews ?? [];
		const another = state?.name !== this.run.name || state?.began !== this.run.began;
		const follows = another || this.chosen >= this.steps.length - 1;
		const chosen = this.steps[this.chosen];
		this.run = {name: state?.name ?? "", began: state?.began ?? 0};
		this.steps = steps;
		const place = follows ? -1 : steps.indexOf(chosen);
		this.root.hidden = !steps.length;
		this.choose(place < 0 ? steps.length - 1 : place);
	}

	/** The picture on the right, and the enlarged one, by place. */
	choose(place) {
		this.chosen = Math.max(0, place);
		for (const slider of [this.slider, this.bigSlider]) {
			slider.max = String(Math.max(0, this.steps.length - 1));
			slider.value = String(this.chosen);
			slider.setAttribute("aria-label", text.scrub);
			slider.setAttribute("aria-valuetext", named(this.steps[this.chosen]));
		}
		this.layOut();
		if (this.dialog.open) this.showBig();
	}

	/** As many pictures as there is room for, up to the chosen one. */
	layOut() {
		if (this.root.hidden) return;
		const room = Math.max(1, Math.floor(this.row.clientWidth / ROOM));
		this.slider.hidden = this.steps.length <= room;
		const first = Math.max(0, Math.min(this.chosen + 1, this.steps.length) - room);
		const shown = this.steps.slice(first, first + room);
		this.row.setAttribute("aria-label", text.previews);
		while (this.pictures.length > shown.length) this.pictures.pop()?.button.remove();
		while (this.pictures.length < shown.length) this.pictures.push(this.makePicture());
		shown.forEach((step, place) => {
			const {button, picture, caption} = this.pictures[place];
			button.value = String(first + place);
			button.setAttribute("aria-label", say("enlarge", whole(step)));
			setPicture(picture, previewAddress(this.run, step));
			caption.textContent = captionOf(step);
		});
	}

	makePicture() {
		const picture = element("img", {alt: "", decoding: "async", draggable: "false"});
		const caption = element("span");
		const button = element("button", {type: "button"}, picture, caption);
		this.row.append(button);
		button.addEventListener("click", () => {
			this.dialog.showModal();
			this.choose(Number(button.value));
			this.bigSlider.focus();
		});
		return {button, picture, caption};
	}

	showBig() {
		const step = this.steps[this.chosen];
		if (step == null) return this.dialog.close();
		this.close.textContent = text.close;
		this.caption.textContent = named(step);
		this.big.alt = this.caption.textContent;
		setPicture(this.big, previewAddress(this.run, step));
	}
}

const named = (step) => (step === 0 ? text.bare : say("step", whole(step)));

function setPicture(picture, address) {
	if (picture.getAttribute("src") !== address) picture.src = address;
}
