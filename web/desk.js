/** Beside the nodes: settings, commands and dialogs, notices of how a run ended. */
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { ask, element, linkedInputs, watch } from "./panel.js";
import { facts } from "./file.js";
import { translated, words } from "./language.js";

const say = words("desk");

const setting = (name, whose = "Hypernet") => app.extensionManager.setting.get(`${whose}.${name}`);

/** New nodes begin with what the settings say; loaded ones get their own values afterwards. */
const FIRST = {
  HypernetTrain: (widget) => widget("preview_every", setting("PreviewEvery")),
  HypernetSave: (widget) => widget("format", setting("Format")),
  HypernetConvert: (widget) => widget("file_format", setting("Format").slice(1)),
};

app.registerExtension({
  name: "Hypernet.Desk",
  settings: [ // Chinese: locales/zh
    ["Panels", "Drawings and pictures on nodes", { type: "boolean", defaultValue: true }],
    ["Plots", "Colours of curves", { type: "combo", options: ["editor", "light", "dark"], defaultValue: "editor" }],
    ["Format", "File format of new Save and Convert nodes", { type: "combo", options: [".pt", ".safetensors"], defaultValue: ".pt" }],
    ["PreviewEvery", "preview_every of new Train nodes", { type: "number", attrs: { min: 0 }, defaultValue: 0 }],
    ["Runs", "Where runs go", { type: runsFolder, defaultValue: "" }],
  ].map(([key, name, how]) => ({ id: `Hypernet.${key}`, category: ["Hypernet", "Hypernet", key], name, ...how })),
  commands: [
    { id: "Hypernet.Inspect", label: "Hypernet: inspect a file…", icon: "pi pi-search", function: inspect },
    { id: "Hypernet.Runs", label: "Hypernet: list runs", icon: "pi pi-list", function: listRuns },
  ],
  menuCommands: [{ path: ["Hypernet"], commands: ["Hypernet.Inspect", "Hypernet.Runs"] }],
  nodeCreated(node) {
    if (!isOurs(node.comfyClass)) return;
    FIRST[node.comfyClass]?.((name, value) => {
      const widget = node.widgets?.find((each) => each.name === name);
      if (widget && value !== undefined) widget.value = value;
    });
    keepBack(node);
  },
  setup: listen,
});

const isOurs = (kind) => String(kind).startsWith("Hypernet");

/** Rare widgets wait behind the editor's "Show Advanced", which alone leaves them their room. */
function keepBack(node) {
  let before;
  let high = 0;
  const look = () => {
    const shown = node.showAdvanced || setting("VueNodes.Enabled", "Comfy");
    const always = setting("Node.AlwaysShowAdvancedWidgets", "Comfy");
    const linked = linkedInputs(node);
    const rare = node.widgets?.filter((each) => each.options?.advanced) ?? []; // choices bring others
    const back = rare.map((each) => !always && !linked.has(each.name));
    if (before === (before = [shown, node.showAdvanced, ...rare.map((each, i) => each.name + back[i])].join())) return;
    high = Math.max(high, node.computeSize()[1]);
    rare.forEach((each, i) => Object.assign(each, { advanced: back[i], hidden: back[i] && !shown }));
    const now = node.computeSize()[1];
    node.setSize([node.size[0], Math.max(now, node.size[1] + Math.min(0, now - high))]);
    high = now;
  };
  look();
  watch(node, look);
}

/** To be read: graphs come over the network, so only whoever starts the server may choose it. */
function runsFolder() {
  const place = element("output", { style: "overflow-wrap: anywhere; text-align: end" });
  ask("runs").then(({ folder }) => (place.textContent = folder), (fault) => (place.textContent = fault.message));
  return place;
}

// Dialogs

async function inspect() {
  const { names } = await ask("files").catch(complain);
  const place = element("div", { class: "hypernet-panel" });
  const list = element("select", { size: Math.min(Math.max(names.length, 2), 8), "aria-label": say.files, onchange: () => show(list.value) },
    ...names.map((name) => element("option", {}, name)));
  const show = (name) => ask(`file?name=${encodeURIComponent(name)}`).then(
    (found) => list.value === name && place.replaceChildren(facts(found.lines)),
    (fault) => place.replaceChildren(element("p", { class: "hypernet-fault" }, fault.message)),
  );
  if (names.length) show((list.value = names[0]));
  openDialog(say.files, ...(names.length ? [list, place] : [say.empty]));
}

async function listRuns() {
  const { folder, runs } = await ask("runs").catch(complain);
  const row = (kind, ...cells) => element("tr", {}, ...cells.map((cell) => element(kind, {}, String(cell ?? ""))));
  const table = element("table", {},
    row("th", say.run, say.state, say.steps, say.rate, say.pictures, say.model, say.changed),
    ...runs.map((run) => row("td", run.name, run.finished ? say.finished : say.open, run.steps, run.learning_rate, run.pictures, run.model,
      new Date(run.changed * 1000).toLocaleString())));
  openDialog(folder, runs.length ? element("div", { class: "hypernet-table", tabindex: 0 }, table) : say.none);
}

function openDialog(title, ...content) {
  const close = element("button", { type: "button", onclick: () => dialog.close() }, say.close);
  const dialog = element("dialog", { class: "hypernet-box hypernet-dialog", "aria-label": title, onclose: () => dialog.remove(),
    onkeydown: ({ key }) => key === "Escape" && dialog.close() }, // some editors keep the browser from it
    element("b", {}, title), ...content, close);
  document.body.append(dialog);
  dialog.showModal();
}

// Notices

export function notice(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, life: severity === "error" ? 20_000 : 8000 });
}

function complain(fault) {
  notice("error", say.failed, fault.message);
  throw fault;
}

/** Of our nodes alone: what they saved, and the server's own sentence when one failed. */
function listen() {
  let saved = [];
  let cached = new Set();
  const on = (event, then) => api.addEventListener(event, ({ detail }) => then(detail ?? {}));
  on("execution_start", () => ((saved = []), (cached = new Set())));
  on("execution_cached", ({ nodes }) => (cached = new Set(nodes)));
  on("executed", ({ node, output }) => {
    if (output?.saved && !cached.has(node)) saved.push(...(output.text ?? output.saved));
  });
  on("hypernet.notice", async ({ text }) => notice("info", say.queued, await translated(String(text))));
  on("execution_success", async () => saved.length && notice("success", say.done, await translated(saved.join("\n"))));
  on("execution_error", async ({ node_type: kind, exception_message: words }) =>
    isOurs(kind) && notice("error", say.failed, (await translated(String(words))).slice(0, 600)));
  on("execution_interrupted", ({ node_type: kind }) => isOurs(kind) && notice("warn", say.stopped, kind === "HypernetTrain" ? say.kept : ""));
}
