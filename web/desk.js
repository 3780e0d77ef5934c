/** Beside the nodes: settings, commands, and how a run ended. */
import {labelChoices, labelTexts} from "./labels.js";
import {app} from "../../scripts/app.js";
import {api} from "../../scripts/api.js";
import {ask, element, isOurs, linkedInputs, watch} from "./panel.js";
import {fresh, setting, translated, words} from "./language.js";

const say = words("desk");
const DEMO = "Hypernet.DemoModel";
const EXPLAIN = "Hypernet.Explain";

/** New nodes begin with what the settings say; loaded ones get their own values afterwards. */
const FIRST = {
	HypernetTrain: (widget) => widget("preview_every", setting("Hypernet.PreviewEvery")),
	HypernetSave: (widget) => widget("format", setting("Hypernet.Format")),
	HypernetConvert: (widget) => widget("file_format", setting("Hypernet.Format").slice(1)),
};

app.registerExtension({
	name: "Hypernet.Desk",
	settings: [
		["Panels", "Drawings and pictures on nodes", {type: "boolean", defaultValue: true}],
		[
			"Plots",
			"Colours of curves",
			{type: "combo", options: ["editor", "light", "dark"], defaultValue: "editor"},
		],
		[
			"Format",
			"File format of new Save and Convert nodes",
			{type: "combo", options: [".pt", ".safetensors"], defaultValue: ".pt"},
		],
		[
			"PreviewEvery",
			"preview_every of new Train nodes",
			{type: "number", attrs: {min: 0}, defaultValue: 0},
		],
		["Runs", "Where runs go", {type: runsFolder, defaultValue: ""}],
	].map((/** @type {any[]} */ [key, name, how]) => ({
		id: `Hypernet.${key}`,
		category: ["Hypernet", "Hypernet", key],
		name,
		...how,
	})),
	commands: [
		{
			id: "Hypernet.Inspect",
			label: "Hypernet: inspect a file…",
			icon: "pi pi-search",
			function: async () => (await import(fresh("./dialogs.mjs"))).inspect(),
		},
		{
			id: "Hypernet.Runs",
			label: "Hypernet: list runs",
			icon: "pi pi-book",
			function: () => app.extensionManager.sidebarTab.toggleSidebarTab("hypernet"),
		},
		{
			id: DEMO,
			label: "Hypernet: use the demo model",
			icon: "pi pi-box",
			function: async () => (await import(fresh("./demo.mjs"))).useDemoModel(),
		},
		{
			id: EXPLAIN,
			label: "Hypernet: what the settings mean",
			icon: "pi pi-question-circle",
			function: () => explain(),
		},
	],
	menuCommands: [{path: ["Hypernet"], commands: ["Hypernet.Inspect", "Hypernet.Runs", DEMO]}],
	getSelectionToolboxCommands: (item) =>
		item.type === "CheckpointLoaderSimple" ? [DEMO] : isNodeOfOurs(item) ? [EXPLAIN] : [],
	getNodeMenuItems(node) {
		if (!isNodeOfOurs(node)) return [];
		const over = app.canvas.getWidgetAtCursor?.(node)?.name; // now: the menu hides it
		return [{content: say.explain, callback: () => explain(node, over)}];
	},
	nodeCreated(node) {
		if (!isNodeOfOurs(node)) return;
		FIRST[node.comfyClass]?.((name, value) => {
			const widget = node.widgets?.find((each) => each.name === name);
			if (widget && value !== undefined) widget.value = value;
		});
		labelTexts(node);
		labelChoices(node);
		if (node.comfyClass !== "HypernetTrain") keepBack(node); // it has train/order.js
	},
	afterConfigureGraph: async () =>
		app.graph.extra?.hypernet && (await import(fresh("./template.mjs"))).open(),
	setup() {
		listen();
		app.extensionManager.registerSidebarTab({
			id: "hypernet",
			icon: "pi pi-book",
			title: "Hypernet",
			tooltip: "Hypernet",
			type: "custom",
			render: async (to) => (await import(fresh("./book.mjs"))).open(to),
		});
	},
});

const isNodeOfOurs = (/** @type {any} */ {comfyClass}) => isOurs(comfyClass);

const explain = async (...given) => (await import(fresh("./explain.mjs"))).explain(...given);

/** Rare widgets wait behind the editor's "Show Advanced", which alone leaves them their room. */
function keepBack(/** @type {EditorNode} */ node) {
	let before;
	let high = 0;
	const look = () => {
		const shown = node.showAdvanced || setting("Comfy.VueNodes.Enabled");
		const always = setting("Comfy.Node.AlwaysShowAdvancedWidgets");
		const linked = linkedInputs(node);
		// Choices bring others.
		const rare = node.widgets?.filter((each) => each.options?.advanced) ?? [];
		const back = rare.map((each) => !always && !linked.has(each.name));
		const after = [shown, node.showAdvanced, ...rare.map((each, i) => each.name + back[i])].join();
		if (after === before) return;
		before = after;
		high = Math.max(high, node.computeSize()[1]);
		rare.forEach((each, i) => Object.assign(each, {advanced: back[i], hidden: back[i] && !shown}));
		const now = node.computeSize()[1];
		node.setSize([node.size[0], Math.max(now, node.size[1] + Math.min(0, now - high))]);
		high = now;
	};
	look();
	watch(node, look);
}

/** To be read: graphs come over the network, so only whoever starts the server may choose it. */
function runsFolder() {
	const place = element("output", {style: "overflow-wrap: anywhere; text-align: end"});
	ask("runs").then(
		({folder}) => (place.textContent = folder),
		(fault) => (place.textContent = fault.message),
	);
	return place;
}

// Notices

/** @type {(() => void)[]} Each takes one away. */
const told = [];

/** @type {Notices} */
export function notice(severity, summary, detail) {
	const {toast} = app.extensionManager;
	const each = {severity, summary, detail, life: severity === "error" ? 20_000 : 8000};
	if (toast.remove) {
		toast.add(each); // editors before 1.58
		told.push(() => toast.remove?.(each));
	} else {
		const kind = severity === "warn" ? "warning" : severity;
		const id = toast[kind](summary, {description: detail, duration: each.life});
		told.push(() => toast.dismiss(id));
	}
}

/** Of our nodes alone: what they saved, and the server's own sentence when one failed. */
function listen() {
	let saved = [];
	let cached = new Set();
	const on = (event, then) => api.addEventListener(event, ({detail}) => then(detail ?? {}));
	on("promptQueueing", () => told.splice(0).forEach((takeAway) => takeAway()));
	on("execution_start", () => {
		saved = [];
		cached = new Set();
	});
	on("execution_cached", ({nodes}) => (cached = new Set(nodes)));
	on("executed", ({node, output}) => {
		if (output?.saved && !cached.has(node)) saved.push(...(output.text ?? output.saved));
	});
	on("hypernet.notice", async ({text}) =>
		notice("info", say.queued, await translated(String(text))),
	);
	on(
		"execution_success",
		async () => saved.length && notice("success", say.done, await translated(saved.join("\n"))),
	);
	on(
		"execution_error",
		async ({node_type: kind, exception_message: words}) =>
			isOurs(kind) && notice("error", say.failed, (await translated(String(words))).slice(0, 600)),
	);
	on(
		"execution_interrupted",
		({node_type: kind}) =>
			isOurs(kind) && notice("warn", say.stopped, kind === "HypernetTrain" ? say.kept : ""),
	);
}
