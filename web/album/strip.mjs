/** On the node: some of the folder's pictures, what is known of all, and the way to the desk. */
import {app} from "../../../scripts/app.js";
import {fresh, translated} from "../language.js";
import {ask, button, element} from "../panel.js";
import {folderOf, keyOf, unsaved} from "../pictures.js";

const {say} = await import(fresh("./words.mjs"));
const {thumbnailOf, setWidget} = await import(fresh("./pages.mjs"));

document.head.append(
	element("link", {rel: "stylesheet", href: new URL("./album.css", import.meta.url)}),
);

export class Strip {
	/**
	 * @param {HTMLElement} root
	 * @param {EditorNode} node
	 * @param {() => EditorNode | undefined} loader
	 */
	constructor(root, node, loader) {
		this.node = node;
		this.loader = loader;
		this.row = element("div", {class: "hypernet-thumbnails"});
		this.facts = element("div", {class: "hypernet-facts", role: "status"});
		this.told = element("details", {class: "hypernet-report", open: true, hidden: true});
		const desk = button(say("open"), {onclick: () => this.open()});
		const [list, ...upload] = node.comfyClass === "HypernetLoadDataset" ? this.choice() : [];
		root.append(
			...(list ? [element("div", {class: "hypernet-row"}, list)] : []),
			element("div", {class: "hypernet-row"}, ...upload, desk),
			this.row,
			this.facts,
			...(list ? [this.told] : []),
		);
	}

	/** Of a folder: those of the input directory, and pictures from this computer. */
	choice() {
		const list = element("select", {
			"aria-label": say("folder"),
			onpointerenter: () => this.list(list), // before it opens
			onfocus: () => this.list(list),
			onchange: () => {
				if (list.value) setWidget(this.node, "folder", list.value);
				list.selectedIndex = 0;
			},
		});
		list.append(element("option", {value: ""}, say("folder")));
		const files = element("input", {
			type: "file",
			multiple: true,
			hidden: true,
			onchange: async () => {
				const {takeIn} = await import(fresh("./intake.mjs"));
				await takeIn(this.node, [...(files.files ?? [])]);
				files.value = "";
			},
		});
		return [list, files, button(say("upload"), {onclick: () => files.click()})];
	}

	async list(/** @type {HTMLSelectElement} */ list) {
		/** @type {{folders: string[]}} */
		const {folders} = await ask("folders").catch(() => ({folders: []}));
		const names = [...list.options].slice(1).map((option) => option.value);
		if (JSON.stringify(names) === JSON.stringify(folders)) return;
		list.replaceChildren(
			list.options[0],
			...folders.map((name) => element("option", {value: name}, name)),
		);
	}

	/** @type {(found: PicturesAnswer, folder: Folder) => void} */
	show(found, folder) {
		this.row.replaceChildren(
			...found.pictures.map((picture) => {
				const broken = picture.unreadable || picture.fault;
				const out = picture.excluded.length > 0;
				return element("img", {
					src: thumbnailOf(folder, picture),
					alt: "",
					title: broken ? `${picture.name}: ${broken}` : picture.name,
					class: `${broken ? "hypernet-broken" : ""} ${out ? "hypernet-out" : ""}`,
					loading: "lazy",
					draggable: "false",
					onclick: () => this.open(picture.name),
				});
			}),
		);
		const edits = Object.keys(unsaved.get(keyOf(folder)) ?? {}).length;
		this.facts.replaceChildren(
			[
				say("pictures", found.total),
				say("captioned", found.captioned),
				...(found.excluded ? [say("excluded", found.excluded)] : []),
			].join(" · "),
			...(found.faults
				? [" · ", element("span", {class: "hypernet-fault"}, say("faults", found.faults))]
				: []),
			...(edits ? [" · ", element("b", {}, say("edited", edits))] : []),
		);
		this.before(found.notes, JSON.stringify(folder));
	}

	/** What a run has found counts until the folder is another or has something else to report. */
	async ran(/** @type {string[] | undefined} */ text) {
		if (!text) return;
		this.after = {folder: JSON.stringify(folderOf(this.node)), notes: this.live};
		this.tell((await translated({said: text.join("\n").split("\n")})).said);
	}

	/** @type {(notes: string[], here: string) => void} */
	before(notes, here) {
		this.live = JSON.stringify(notes);
		const after = this.after?.folder === here ? this.after : undefined;
		if (after) after.notes ??= this.live; // a run was quicker than the first look
		if (after?.notes !== this.live) this.tell(notes);
	}

	tell(/** @type {string[]} */ lines) {
		this.told.hidden = !lines.length;
		this.told.replaceChildren(
			element("summary", {}, say("report", lines.length)),
			element(
				"ul",
				{class: "hypernet-notes", "data-capture-wheel": "true", tabindex: 0},
				...lines.map((line) => element("li", {}, line)),
			),
		);
	}

	async open(name = "") {
		const loader = this.loader();
		const {openDesk} = await import(fresh("./desk.mjs"));
		if (loader) openDesk(loader, this.node, name);
		app.canvas.setDirty(true, true);
	}
}
