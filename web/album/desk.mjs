/** The dataset desk: all pictures of a folder with their captions, in a dialog over the page. */
import {fresh} from "../language.js";
import {ask, button, element, linkedInputs, renewPanels, widgetValues} from "../panel.js";
import {folderOf} from "../pictures.js";

const {say} = await import(fresh("./words.mjs"));
const {Cells} = await import(fresh("./cells.mjs"));
const {Grid} = await import(fresh("./grid.mjs"));
const {Large} = await import(fresh("./large.mjs"));
const {Side} = await import(fresh("./side.mjs"));
const {choose, editsOf, keep, save} = await import(fresh("./unsaved.mjs"));
const {setWidget, withLines, withoutLines} = await import(fresh("./pages.mjs"));

const PAUSE = 400; // milliseconds after the last key, before the tags are counted anew
const STATES = ["All", "Edited", "Unwritten", "Faulty", "Excluded", "Masked"];
const RULES = [
	"source",
	"fixed_text",
	"existing",
	"trigger_word",
	"block_tags",
	"replace_tags",
	"source_order",
	"name_pattern",
	"name_joint",
	"joint",
];

/**
 * node: the one that opens it; if it is Caption, the desk shows what becomes of the words.
 * @type {(loader: EditorNode, node: EditorNode, name?: string) => void}
 */
export function openDesk(loader, node, name) {
	const folder = folderOf(loader);
	if (!folder || document.querySelector("dialog.hypernet-desk")) return;
	const desk = new Desk(loader, node, folder);
	document.body.append(desk.dialog);
	desk.dialog.showModal();
	desk.text.focus();
	desk.begin(name);
}

class Desk {
	/** @param {EditorNode} loader @param {EditorNode} node @param {Folder} folder */
	constructor(loader, node, folder) {
		this.loader = loader;
		this.node = node;
		this.last = folder;
		this.filter = {text: "", tag: "", without: /** @type {string[]} */ ([]), state: ""};
		this.timer = 0; // until tags are counted, and what is typed is looked for
		this.typing = 0;
		this.cells = new Cells(this);
		this.grid = new Grid(
			(offset, count) => this.ask({offset, count}),
			(picture, place) => this.cells.cell(picture, place),
			say("grid"),
		);
		this.large = new Large(this);
		this.side = new Side(this);
		this.text = element("input", {
			type: "search",
			placeholder: say("find"),
			"aria-label": say("find"),
			oninput: () => {
				clearTimeout(this.typing);
				this.typing = setTimeout(() => this.search({text: this.text.value}), PAUSE / 2);
			},
		});
		this.count = element("span", {class: "hypernet-facts", role: "status"});
		this.said = element("p", {class: "hypernet-said", role: "status"});
		this.changed = element("span", {});
		this.bar = element(
			"div",
			{class: "hypernet-row", hidden: true},
			this.changed,
			button(say("save"), {onclick: () => this.save()}),
			button(say("discard"), {onclick: () => this.discard()}),
		);
		this.dialog = element(
			"dialog",
			{
				class: "hypernet-box hypernet-desk",
				"aria-label": `${say("title")}: ${folder.folder}`,
				oncancel: (event) => this.escape(event), // where nothing has the focus
				onclose: () => this.end(),
				onkeydown: (event) => this.press(event),
			},
			this.head(),
			element(
				"div",
				{class: "hypernet-desk-main"},
				element("div", {class: "hypernet-desk-stage"}, this.grid.root, this.large.root),
				this.side.root,
			),
			element("footer", {class: "hypernet-row"}, this.said, this.bar),
		);
	}

	head() {
		const states = element(
			"select",
			{"aria-label": say("state"), onchange: () => this.search({state: states.value})},
			...STATES.map((state) =>
				element(
					"option",
					{value: state === "All" ? "" : state.toLowerCase()},
					say(/** @type {any} */ (`state${state}`)),
				),
			),
		);
		const zoom = element("input", {
			type: "range",
			min: 90,
			max: 360,
			value: this.grid.zoom,
			"aria-label": say("zoom"),
			title: say("zoom"),
			oninput: () => this.grid.enlarge(Number(zoom.value)),
		});
		return element(
			"header",
			{class: "hypernet-row"},
			element("b", {}, say("title"), ": ", this.last.folder),
			this.text,
			states,
			this.count,
			zoom,
			button(say("close"), {onclick: () => this.leave()}),
		);
	}

	/** Of Load Dataset, as its widgets are now. */
	get folder() {
		return folderOf(this.loader) ?? this.last;
	}

	get edits() {
		return editsOf(this.folder);
	}

	get body() {
		return {...this.folder, ...this.filter, edits: this.edits};
	}

	/** @type {(part: {offset: number, count: number}) => Promise<PicturesAnswer>} */
	ask(part) {
		const captions = this.node.comfyClass === "HypernetCaption";
		const rules = captions ? widgetValues(this.node, RULES) : undefined;
		return ask("pictures", {...this.body, ...part, rules});
	}

	/** The first look; another follows when all pictures have been opened once. */
	async begin(name = "") {
		await this.renew();
		if (name) this.showLarge(name);
		const {folder, subfolders} = this.folder;
		/** @type {{faults: {[name: string]: string}}} */
		const {faults} = await ask("unreadable", {folder, subfolders}).catch((fault) => {
			this.tell(fault.message);
			return {faults: {}};
		});
		this.side.showFaults(faults);
		if (Object.keys(faults).length) this.renew();
	}

	async renew() {
		try {
			const found = await this.grid.renew();
			if (found) this.show(found);
		} catch (fault) {
			this.tell(fault.message);
		}
	}

	show(/** @type {PicturesAnswer} */ found) {
		this.count.textContent = [
			say("shown", found.found, found.total),
			say("captioned", found.captioned),
			...(found.excluded ? [say("excluded", found.excluded)] : []),
		].join(" · ");
		this.side.show(found);
		const count = Object.keys(this.edits).length;
		this.bar.hidden = !count;
		this.changed.textContent = say("edited", count);
	}

	search(/** @type {Partial<Desk["filter"]>} */ change) {
		Object.assign(this.filter, change);
		this.grid.root.scrollTop = 0;
		const had = /** @type {HTMLElement | null} */ (document.activeElement);
		this.large.close();
		had?.focus(); // perhaps it is being typed in
		this.renew();
	}

	/** What a picture is called now. */
	words(/** @type {Picture} */ {name, words}) {
		return this.edits[name] ?? words;
	}

	edit(/** @type {Picture} */ picture, /** @type {string} */ words) {
		const edits = {...this.edits};
		if (words === picture.words) delete edits[picture.name];
		else edits[picture.name] = words;
		keep(this.folder, edits);
		this.tell("");
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.countAnew(), PAUSE);
	}

	/** The cells stay: one of them is being typed in. */
	async countAnew() {
		const found = await this.ask({offset: 0, count: 0}).catch(() => undefined);
		if (found) this.show(found);
	}

	/** In or out: `exclude` of Load Dataset says so. */
	toggle(/** @type {Picture} */ picture) {
		const text = this.folder.exclude ?? "";
		const {name, excluded} = picture;
		this.exclude(excluded.length ? withoutLines(text, excluded) : withLines(text, [name]));
	}

	excludeAll(/** @type {string[]} */ names) {
		this.exclude(withLines(this.folder.exclude ?? "", names));
	}

	exclude(/** @type {string} */ text) {
		if (linkedInputs(this.loader).has("exclude")) return this.tell(say("linked"));
		setWidget(this.loader, "exclude", text);
		return this.renew().then(() => this.large.renew());
	}

	/** @type {(change: {way: string, tags: string, by: string}) => Promise<void>} */
	async retag(change) {
		try {
			const {edits, changed} = await ask("retag", {...this.body, ...change});
			keep(this.folder, edits);
			await this.renew();
			this.tell(say("changed", changed));
		} catch (fault) {
			this.tell(fault.message);
		}
	}

	/** What Caption made when it last ran becomes unsaved captions, to be read first. */
	async review() {
		try {
			const {folder, subfolders} = this.folder;
			/** @type {{captions: {[name: string]: string}, made: number}} */
			const {captions, made} = await ask("review", {folder, subfolders});
			keep(this.folder, {...captions, ...this.edits}); // what was typed stays
			await this.renew();
			const count = Object.keys(captions).length;
			this.tell(made ? say("reviewed", count) : say("noReview"));
		} catch (fault) {
			this.tell(fault.message);
		}
	}

	async save() {
		try {
			const {said, whole} = await save(this.folder);
			await this.renew();
			this.tell(said);
			return whole;
		} catch (fault) {
			this.tell(fault.message);
			return false;
		}
	}

	async discard() {
		keep(this.folder, {});
		await this.renew();
		this.large.renew();
		this.tell("");
	}

	async showLarge(/** @type {string} */ name) {
		for (let place = 0; place < this.grid.found; place++)
			if ((await this.grid.pictureAt(place))?.name === name) return this.large.open(place);
	}

	tell(/** @type {string} */ sentence) {
		this.said.textContent = sentence;
		this.changed.textContent = say("edited", Object.keys(this.edits).length);
		this.bar.hidden = !Object.keys(this.edits).length;
	}

	press(/** @type {KeyboardEvent} */ event) {
		event.stopPropagation(); // the editor has shortcuts of one key
		if (event.key === "Escape") this.escape(event); // some editors hold the other event back
	}

	escape(/** @type {Event} */ event) {
		event.preventDefault();
		if (this.large.place !== undefined) this.large.close();
		else this.leave();
	}

	async leave() {
		const count = Object.keys(this.edits).length;
		const answer =
			count &&
			(await choose(say("closing", count), [
				["save", say("saveAndClose")],
				["later", say("closeUnsaved")],
				["discard", say("discardAndClose")],
			]));
		if (answer === undefined) return;
		if (answer === "save" && !(await this.save())) return;
		if (answer === "discard") keep(this.folder, {});
		this.dialog.close();
	}

	end() {
		clearTimeout(this.timer);
		clearTimeout(this.typing);
		this.dialog.remove();
		renewPanels();
	}
}
