/** What the inputs and settings of a node mean: all that its tooltips say, in one dialog. */
import {app} from "../../scripts/app.js";
import {api} from "../../scripts/api.js";
import {notice} from "./desk.js";
import {fresh, isChinese, words} from "./language.js";
import {button, element, isOurs} from "./panel.js";

const {openModal} = await import(fresh("./modal.mjs"));

const say = words("desk");

/**
 * In the order in which the node shows them.
 * @type {(node?: ExplainedNode, over?: string) => Promise<void>} node: or the selected one. over:
 * the input to begin with.
 */
export async function explain(node = selected(), over = "") {
	if (!node) return notice("info", say.explain, say.select);
	const kind = node.constructor.nodeData;
	const declared = {...kind?.input?.required, ...kind?.input?.optional};
	const local = isChinese() ? await chineseOf(node.comfyClass) : {};
	const widgets = node.widgets ?? [];
	const place = ({name}) => widgets.findIndex((widget) => widget.name === name);
	const inputs = [...(node.inputs ?? [])].sort((one, other) => place(one) - place(other));
	const rows = inputs.map((input) => {
		const {name} = input;
		const widget = widgets[place(input)];
		const title = widget?.label ?? input.localized_name ?? name;
		const said = local[name.replaceAll(".", "_")] ?? declared[name]?.[1] ?? widget;
		return element(
			"section",
			{tabindex: -1, "data-name": name},
			element("b", {}, title),
			...(title === name ? [] : [" ", element("code", {}, name)]),
			element("p", {}, said?.tooltip ?? ""),
		);
	});
	openModal(say.explain, "hypernet-explained", (close) => [
		element("b", {}, node.title),
		element("div", {class: "hypernet-explanations"}, ...rows),
		button(say.close, {onclick: close}),
	]);
	rows.find((row) => row.dataset.name === over)?.focus();
}

const selected = () =>
	[...(app.canvas.selectedItems ?? [])].find(({comfyClass}) => isOurs(comfyClass));

/** {input: {tooltip}}, with "_" for each dot. What nodes have themselves is English. */
async function chineseOf(kind) {
	const answer = await api.fetchApi("/i18n");
	const found = await answer.json().catch(() => ({}));
	return found.zh?.nodeDefs?.[kind]?.inputs ?? {};
}
