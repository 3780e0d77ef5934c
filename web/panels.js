/** What the panels of our nodes ask for. How an answer is shown is loaded when there is one. */
import {addPanel, makers, upstream, widgetValues} from "./panel.js";
import {fresh, words} from "./language.js";
import {folderAbove, sizeAbove} from "./pictures.js";

const NETWORK = [
	"layer_structure",
	"activation",
	"weight_initialization",
	"layer_norm",
	"dropout_structure",
	"activate_output",
	"widths",
];
const SCHEDULE = ["learning_rate", "steps", "batch_size", "accumulation", "optimizer", "preset"];
const say = words("file");
const forFile = () => import(fresh("./shown/file.mjs"));
const forNetwork = () => import(fresh("./shown/network.mjs"));
const forSchedule = () => import(fresh("./shown/schedule.mjs"));

makers.HypernetLoad = makers.HypernetInspect = (node) =>
	addPanel(node, {
		height: 150,
		question: () => fileOf(node),
		show: async (found, place) => (await forFile()).showFile(found, place),
	});
makers.HypernetApply = (node) =>
	addPanel(node, {
		height: 80,
		question: () => fileAbove(node),
		show: async (found, place) => (await forFile()).showShort(found, place),
	});
makers.HypernetConfig = (node) =>
	addPanel(node, {
		height: 170,
		question: () => networkOf(node),
		show: async (found, place) => (await forNetwork()).showNetwork(found, place),
	});
makers.HypernetLearningRate = (node) =>
	addPanel(node, {
		height: 190,
		question: () => adviceFor(node),
		show: async (found, place) => (await forSchedule()).showAdvice(found, place),
	});
makers.HypernetTrain = (node) =>
	addPanel(node, {
		height: 110,
		grows: false,
		question: () => scheduleOf(node),
		// train/plan.js says the rest
		show: async (found, place) => (await forSchedule()).showCurve(found, place),
	});

/** @type {Asks} */
function fileOf(node) {
	const name = widgetValues(node, ["name"])?.name;
	return name ? {path: `file?name=${encodeURIComponent(name)}`} : say.none;
}

/** @type {Asks} */
function fileAbove(node) {
	const source = upstream(node, "hypernet");
	if (source?.comfyClass === "HypernetLoad") return fileOf(source);
	return source ? say.made : say.apply;
}

/** @type {Asks} */
function networkOf(node) {
	const body = configOf(node);
	return body && {path: "config", body};
}

/** @type {Asks} */
function scheduleOf(node) {
	const given = widgetValues(node, SCHEDULE);
	return given && {path: "schedule", body: {...given, ...above(node)}};
}

/** @type {Asks} */
function adviceFor(node) {
	const given = widgetValues(node, [...SCHEDULE, "pictures"]);
	const more = {...above(node), dataset: folderAbove(node)};
	return given && {path: "learning_rate", body: {...given, ...more}};
}

/** What the nodes above say of the network and the pictures. */
export function above(/** @type {EditorNode} */ node) {
	const config = upstream(node, "config");
	return {config: config && configOf(config, node), demo: isDemo(node), size: sizeAbove(node)};
}

/** Its settings, and whether they are for the demo model, perhaps because that feeds `user`. */
function configOf(/** @type {EditorNode} */ node, user = node) {
	const found = widgetValues(node, NETWORK);
	return found && {...found, demo: isDemo(node) || isDemo(user)};
}

const isDemo = (/** @type {EditorNode} */ node) =>
	upstream(node, "model")?.comfyClass === "HypernetLoadDemoModel";
