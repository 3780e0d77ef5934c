/** Beside the grid: what cannot be opened, changes of all captions that are shown, and the tags. */
import {fresh} from "../language.js";
import {button, element} from "../panel.js";

const {say} = await import(fresh("./words.mjs"));

const WAYS = [
	["add first", "addFirst"],
	["add last", "addLast"],
	["remove", "remove"],
	["replace", "replace"],
	["sort", "sort"],
];

export class Side {
	/** @param {any} desk */
	constructor(desk) {
		this.desk = desk;
		this.faults = element("section", {class: "hypernet-faults", hidden: true});
		this.heading = element("b", {});
		this.list = element("ul", {});
		this.root = element(
			"aside",
			{},
			this.faults,
			this.bulk(),
			button(say("review"), {
				title: say("reviewHint"),
				onclick: () => this.desk.review(),
			}),
			element("section", {class: "hypernet-tags"}, element("b", {}, say("tags")), this.list),
		);
	}

	bulk() {
		const field = (/** @type {"which" | "by"} */ label) =>
			element("input", {type: "text", placeholder: say(label), "aria-label": say(label)});
		const [tags, by] = [field("which"), field("by")];
		const way = element(
			"select",
			{"aria-label": say("way"), onchange: () => fit()},
			...WAYS.map(([value, label]) => element("option", {value}, say(/** @type {any} */ (label)))),
		);
		const fit = () => {
			tags.hidden = way.value === "sort";
			by.hidden = way.value !== "replace";
		};
		const form = element(
			"form",
			{
				onsubmit: (event) => {
					event.preventDefault();
					this.desk.retag({way: way.value, tags: tags.value, by: by.value});
				},
			},
			this.heading,
			way,
			tags,
			by,
			element("button", {type: "submit"}, say("apply")),
		);
		fit();
		return form;
	}

	showFaults(/** @type {{[name: string]: string}} */ faults) {
		const names = Object.keys(faults);
		this.faults.hidden = !names.length;
		this.faults.replaceChildren(
			element("b", {}, say("unreadable", names.length)),
			element(
				"ul",
				{tabindex: 0},
				...names.slice(0, 200).map((name) => element("li", {}, `${name}: ${faults[name]}`)),
			),
			button(say("excludeAll"), {
				onclick: async () => {
					await this.desk.excludeAll(names);
					this.desk.text.focus();
				},
			}),
		);
	}

	show(/** @type {PicturesAnswer} */ found) {
		this.heading.textContent = say("bulk", found.found);
		const had = /** @type {HTMLElement | null} */ (document.activeElement);
		const [tag, role] = [had?.dataset.tag, had?.dataset.role];
		this.list.replaceChildren(...this.tagsOf(found).map((each) => this.line(each)));
		if (!found.tags.length) this.list.append(element("li", {}, say("noTags")));
		const next = [...this.list.querySelectorAll("button")].find(
			({dataset}) => tag !== undefined && dataset.tag === tag && dataset.role === role,
		);
		next?.focus(); // what had it is gone
	}

	/** Those that are chosen come first: they can be let go although no picture has them. */
	tagsOf(/** @type {PicturesAnswer} */ {tags}) {
		const {tag, without} = this.desk.filter;
		const chosen = new Set([...(tag ? [tag] : []), ...without]);
		const counts = new Map(tags);
		return [
			.../** @type {[string, number][]} */ (
				[...chosen].map((each) => [each, counts.get(each) ?? 0])
			),
			...tags.filter(([each]) => !chosen.has(each)),
		];
	}

	line(/** @type {[string, number]} */ [tag, count]) {
		const {filter} = this.desk;
		const only = filter.tag === tag;
		const gone = filter.without.includes(tag);
		return element(
			"li",
			{},
			button(tag, {
				"aria-pressed": String(only),
				"aria-label": say("only", tag),
				title: say("only", tag),
				"data-tag": tag,
				"data-role": "only",
				onclick: () => this.desk.search({tag: only ? "" : tag}),
			}),
			element("span", {class: "hypernet-facts"}, String(count)),
			button("−", {
				"aria-pressed": String(gone),
				"aria-label": say("without", tag),
				title: say("without", tag),
				"data-tag": tag,
				"data-role": "without",
				onclick: () => {
					const others = filter.without.filter((/** @type {string} */ each) => each !== tag);
					this.desk.search({without: gone ? others : [...others, tag]});
				},
			}),
		);
	}
}
