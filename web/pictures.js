/**
 * Load Dataset and Caption: the pictures of the folder with their captions, found by text and tag.
 *
 * Only the rows in sight exist, and the pages around them are fetched as one scrolls. What is typed
 * stays here until "save captions" lets the server write sidecars.
 */
import {api} from "../../scripts/api.js";
import {
	addPanel,
	ask,
	chain,
	element,
	makers,
	renewPanels,
	upstream,
	widgetValues,
} from "./panel.js";
import {translated, words} from "./language.js";

const PAGE = 60;
const [ROW, NARROW] = [70, 230]; // pixels: of a row, of the narrowest column
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
const THROUGH = {
	HypernetPrepare: "dataset",
	HypernetCaption: "dataset",
	HypernetWords: "dataset",
};
const say = words("pictures");
/**
 * Words by name, by folder: nodes that show the same folder share them.
 * @type {Map<string, { [name: string]: string }>}
 */
const edits = new Map();

makers.HypernetLoadDataset = (node) => new Album(node, () => node).report();
makers.HypernetCaption = (node) => new Album(node, () => loaderAbove(node));

/** The Load Dataset that a node's pictures come from. */
const loaderAbove = (/** @type {EditorNode} */ node) => upstream(node, "dataset", THROUGH);

/** The folder that it names; undefined while that is not known. */
export const folderAbove = (/** @type {EditorNode} */ node) => folderOf(loaderAbove(node));

/** The size that it gives its pictures. */
export function sizeAbove(/** @type {EditorNode} */ node) {
	const loader = loaderAbove(node);
	return loader?.comfyClass === "HypernetLoadDataset"
		? widgetValues(loader, ["width", "height"])
		: undefined;
}

function folderOf(/** @type {EditorNode | undefined} */ loader) {
	if (loader?.comfyClass !== "HypernetLoadDataset") return undefined;
	return widgetValues(loader, ["folder", "subfolders"]);
}

class Album {
	/** @param {EditorNode} node */
	constructor(node, loader) {
		this.node = node;
		this.loader = loader;
		this.filter = {text: "", tag: ""};
		/** @type {Map<number, Picture[]> | undefined} what has come, by page */
		this.pages = undefined;
		this.found = 0; // pictures
		this.text = element("input", {
			type: "search",
			placeholder: say.find,
			"aria-label": say.find,
			oninput: (event) => (this.filter.text = event.target.value),
		});
		this.tags = element("select", {
			"aria-label": say.tag,
			onchange: (event) => (this.filter.tag = event.target.value),
		});
		this.count = element("span", {class: "hypernet-facts"});
		this.inner = element("div", {class: "hypernet-inner"});
		this.list = element(
			"div",
			{
				class: "hypernet-list",
				"data-capture-wheel": "true",
				tabindex: 0,
				onscroll: () => this.draw(),
			},
			this.inner,
		);
		this.changed = element("span", {class: "hypernet-facts"});
		this.bar = element(
			"div",
			{class: "hypernet-row", hidden: true},
			this.changed,
			element("button", {type: "button", onclick: () => this.save()}, say.save),
			element("button", {type: "button", onclick: () => this.discard()}, say.drop),
		);
		this.note = element("div", {class: "hypernet-facts", role: "status"});
		this.notes = element("ul", {
			class: "hypernet-notes",
			"data-capture-wheel": "true",
			tabindex: 0,
		});
		this.heading = element("summary");
		this.told = element(
			"details",
			{class: "hypernet-report", open: true, hidden: true},
			this.heading,
			this.notes,
		);
		const panel = addPanel(node, {
			height: 240,
			question: () => this.question(),
			show: (found) => this.open(found),
		});
		if (panel) this.build(panel.place);
	}

	build(place) {
		place.append(
			element("div", {class: "hypernet-row"}, this.text, this.tags, this.count),
			this.list,
			this.bar,
			this.note,
		);
		// No dragging of the node.
		place.addEventListener("pointerdown", (event) => event.stopPropagation());
		new ResizeObserver(() => this.draw()).observe(this.list);
	}

	/** Above the pictures: what is not used of the folder, and once it has run all that was found. */
	report() {
		this.list.before(this.told);
		chain(this.node, "onExecuted", (output) => this.ran(output?.text));
	}

	/** What a run has found counts until the folder is another or has something else to report. */
	async ran(text) {
		if (!text) return;
		this.after = {folder: JSON.stringify(folderOf(this.node)), notes: this.live};
		this.tellAll((await translated({said: text.join("\n").split("\n")})).said);
	}

	before(notes) {
		this.live = JSON.stringify(notes);
		const after = this.after?.folder === JSON.stringify(this.folder) ? this.after : undefined;
		if (after) after.notes ??= this.live; // a run was quicker than the first look
		if (after?.notes !== this.live) this.tellAll(notes);
	}

	tellAll(/** @type {string[]} */ lines) {
		this.told.hidden = !lines.length;
		this.heading.textContent = `${say.report} (${lines.length})`;
		this.notes.replaceChildren(...lines.map((line) => element("li", {}, line)));
	}

	get edits() {
		const key = JSON.stringify(this.folder);
		const found = edits.get(key) ?? {};
		edits.set(key, found);
		return found;
	}

	question() {
		const loader = this.loader();
		if (!loader) return say.none;
		const folder = folderOf(loader);
		if (!folder) return undefined;
		const captions = this.node.comfyClass === "HypernetCaption";
		const rules = captions ? widgetValues(this.node, RULES) : undefined;
		this.folder = folder;
		this.asking = {...folder, ...this.filter, rules};
		return {
			path: "pictures",
			body: {...this.asking, offset: 0, count: PAGE},
			also: () => ({edits: this.edits}),
		};
	}

	/** Begin with the first page of what was found. */
	open(/** @type {PicturesAnswer} */ found) {
		const scene = JSON.stringify(this.asking);
		if (scene !== this.scene) this.list.scrollTop = 0;
		this.scene = scene;
		this.found = found.found;
		this.pages = new Map([[0, found.pictures]]);
		this.count.textContent =
			found.found === found.total ? `${found.total}` : `${found.found} / ${found.total}`;
		const options = [
			["", say.all],
			...found.tags.map(([tag, count]) => [tag, `${tag} (${count})`]),
		];
		this.tags.replaceChildren(
			...options.map(([value, text]) =>
				element("option", {value, selected: value === this.filter.tag}, text),
			),
		);
		this.before(found.notes);
		const areas = () => [...this.inner.querySelectorAll("textarea")];
		const typing = areas().find((each) => each === document.activeElement)?.dataset.name;
		this.inner.replaceChildren();
		this.draw();
		if (typing)
			areas()
				.find((each) => each.dataset.name === typing)
				?.focus();
	}

	/** In the page, as Tab goes. */
	get items() {
		return /** @type {HTMLElement[]} */ ([...this.inner.children]);
	}

	/** The rows in sight; those that stay are left alone, with what is being typed in them. */
	draw() {
		if (!this.pages) return;
		const columns = Math.max(1, Math.floor(this.list.clientWidth / NARROW));
		this.inner.style.height = `${Math.ceil(this.found / columns) * ROW}px`;
		const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 1) * columns;
		const last = Math.min(
			this.found,
			first + (Math.ceil(this.list.clientHeight / ROW) + 3) * columns,
		);
		const there = new Map(this.items.map((each) => [each.dataset.at, each]));
		for (let place = first; place < last; place++) {
			const page = Math.floor(place / PAGE);
			if (!this.pages.has(page)) this.fetch(page);
			const picture = this.pages.get(page)?.[place % PAGE];
			const at = `${place}/${columns}`;
			if (!picture || there.delete(at)) continue;
			const next = this.items.find((each) => parseInt(each.dataset.at ?? "", 10) > place);
			this.inner.insertBefore(this.item(picture, place, columns, at), next ?? null);
		}
		for (const gone of there.values()) gone.remove();
		this.tell();
	}

	/** One page at a time: by then another may be in sight. */
	async fetch(page) {
		const pages = this.pages;
		if (this.fetching || !pages) return;
		this.fetching = true;
		const found = await ask("pictures", {
			...this.asking,
			offset: page * PAGE,
			count: PAGE,
			edits: this.edits,
		}).catch(() => undefined);
		this.fetching = false;
		pages.set(page, found?.pictures ?? []);
		this.draw();
	}

	item(/** @type {Picture} */ picture, place, columns, at) {
		const {name, version} = picture;
		const query = new URLSearchParams({...this.folder, name, version});
		const area = element("textarea", {
			"data-name": name,
			"aria-label": `${say.caption} ${name}`,
			spellcheck: "false",
			readonly: Boolean(picture.fault),
			class: picture.written ? "" : "hypernet-unwritten",
			title: picture.written ? undefined : say.unwritten,
			oninput: (event) => this.edit(picture, event.target),
		});
		area.value = this.edits[name] ?? picture.words;
		area.toggleAttribute("data-edited", name in this.edits);
		const below =
			picture.fault ||
			(picture.becomes !== undefined &&
				picture.becomes !== picture.words &&
				`${say.becomes}: ${picture.becomes}`) ||
			name;
		const made = element(
			"div",
			{class: "hypernet-item", "data-at": at},
			element("img", {
				src: api.apiURL(`/hypernet/thumbnail?${query}`),
				alt: "",
				title: name,
				loading: "lazy",
				draggable: "false",
			}),
			element(
				"div",
				{},
				area,
				element(
					"div",
					{class: picture.fault ? "hypernet-fault" : "hypernet-facts", title: below},
					below,
				),
			),
		);
		const [row, column, share] = [Math.floor(place / columns), place % columns, 100 / columns];
		const [top, left] = [row * ROW, column * share];
		made.style.cssText = `top:${top}px;left:${left}%;width:${share}%;height:${ROW}px`;
		return made;
	}

	edit(/** @type {Picture} */ picture, area) {
		if (area.value === picture.words) delete this.edits[picture.name];
		else this.edits[picture.name] = area.value;
		area.toggleAttribute("data-edited", picture.name in this.edits);
		this.note.textContent = "";
		this.tell();
	}

	tell() {
		const count = Object.keys(this.edits).length;
		this.bar.hidden = !count;
		this.changed.textContent = `${count} ${say.edited}`;
	}

	async save() {
		try {
			const {saved, faults} = await ask("captions", {...this.folder, edits: this.edits});
			for (const name of saved) delete this.edits[name];
			this.note.textContent = [`${say.saved} ${saved.length}`, ...Object.values(faults)].join("\n");
		} catch (fault) {
			this.note.textContent = fault.message;
		}
		renewPanels();
	}

	discard() {
		edits.delete(JSON.stringify(this.folder));
		renewPanels();
	}
}
