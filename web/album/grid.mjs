/**
 * The pictures that a search finds, as a grid. Only the cells in sight exist, and the pages around
 * them are fetched as one scrolls.
 */
import {element} from "../panel.js";

const PAGE = 60;
const BELOW = 92; // pixels of a cell under its picture

export class Grid {
	/**
	 * @param {(offset: number, count: number) => Promise<PicturesAnswer>} ask
	 * @param {(picture: Picture, place: number) => HTMLElement} cell
	 */
	constructor(ask, cell, label) {
		this.ask = ask;
		this.cell = cell;
		/** @type {Map<number, Picture[]>} what has come, by page */
		this.pages = new Map();
		this.found = 0; // pictures
		this.zoom = 150; // pixels of a picture's side
		this.turn = 0; // of questions: only the last counts
		this.inner = element("div", {class: "hypernet-inner"});
		this.root = element(
			"div",
			{class: "hypernet-grid", tabindex: 0, "aria-label": label, onscroll: () => this.draw()},
			this.inner,
		);
		new ResizeObserver(() => this.draw()).observe(this.root);
	}

	/** Ask anew; undefined if another question has come since. */
	async renew() {
		const turn = ++this.turn;
		const found = await this.ask(0, PAGE);
		if (turn !== this.turn) return undefined;
		this.found = found.found;
		this.pages = new Map([[0, found.pictures]]);
		this.redraw();
		return found;
	}

	enlarge(/** @type {number} */ zoom) {
		const first = this.first();
		this.zoom = zoom;
		this.redraw();
		this.root.scrollTop = Math.floor(first / this.columns) * this.row;
	}

	get columns() {
		return Math.max(1, Math.floor(this.root.clientWidth / (this.zoom + 12)));
	}

	get row() {
		return this.zoom + BELOW;
	}

	/** The first one in sight. */
	first() {
		return Math.floor(this.root.scrollTop / this.row) * this.columns;
	}

	get cells() {
		return /** @type {HTMLElement[]} */ ([...this.inner.children]);
	}

	/** What has the focus has it again: a cell's caption as it is typed, or one of its buttons. */
	redraw() {
		const had = /** @type {HTMLElement | null} */ (document.activeElement);
		const name = this.inner.contains(had) && this.nameOf(had);
		const typed = had instanceof HTMLTextAreaElement && [had.selectionStart, had.selectionEnd];
		this.inner.replaceChildren();
		this.draw();
		if (!name) return;
		const cell = this.cells.find(({dataset}) => dataset.name === name);
		const next = cell?.querySelector(`[data-role="${had?.dataset.role}"]`);
		/** @type {HTMLElement} */ (next ?? this.root).focus({preventScroll: true});
		if (typed && next instanceof HTMLTextAreaElement) next.setSelectionRange(typed[0], typed[1]);
	}

	nameOf(/** @type {Element | null} */ inside) {
		const cell = /** @type {HTMLElement | null} */ (inside?.closest(".hypernet-cell") ?? null);
		return cell?.dataset.name;
	}

	/** The cells in sight; those that stay are left alone, with what is being typed in them. */
	draw() {
		const {columns, row} = this;
		this.inner.style.height = `${Math.ceil(this.found / columns) * row}px`;
		const first = Math.max(0, Math.floor(this.root.scrollTop / row) - 1) * columns;
		const rows = Math.ceil(this.root.clientHeight / row) + 3;
		const last = Math.min(this.found, first + rows * columns);
		const there = new Map(this.cells.map((each) => [each.dataset.at, each]));
		for (let place = first; place < last; place++) {
			const page = Math.floor(place / PAGE);
			if (!this.pages.has(page)) this.fetch(page);
			const picture = this.pages.get(page)?.[place % PAGE];
			const at = `${place}/${columns}`;
			if (!picture || there.delete(at)) continue;
			const next = this.cells.find((each) => parseInt(each.dataset.at ?? "", 10) > place);
			this.inner.insertBefore(this.placed(picture, place, at), next ?? null);
		}
		for (const gone of there.values()) gone.remove();
	}

	placed(/** @type {Picture} */ picture, /** @type {number} */ place, /** @type {string} */ at) {
		const {columns, row} = this;
		const made = this.cell(picture, place);
		made.dataset.at = at;
		const [top, left] = [Math.floor(place / columns) * row, ((place % columns) * 100) / columns];
		const size = `width:${100 / columns}%;height:${row}px;--hypernet-side:${this.zoom}px`;
		made.style.cssText = `top:${top}px;left:${left}%;${size}`;
		return made;
	}

	/** One page at a time: by then another may be in sight. */
	async fetch(/** @type {number} */ page) {
		const {pages} = this;
		if (this.fetching) return;
		this.fetching = true;
		const found = await this.ask(page * PAGE, PAGE).catch(() => undefined);
		this.fetching = false;
		pages.set(page, found?.pictures ?? []);
		this.draw();
	}

	/** @type {(place: number) => Promise<Picture | undefined>} */
	async pictureAt(place) {
		const page = Math.floor(place / PAGE);
		if (place < 0 || place >= this.found) return undefined;
		if (!this.pages.has(page)) {
			const {pages} = this;
			pages.set(page, (await this.ask(page * PAGE, PAGE)).pictures);
		}
		return this.pages.get(page)?.[place % PAGE];
	}
}
