/** Load, Inspect and Apply Hypernet: what the chosen network file is. */
import { app } from "../../scripts/app.js";
import { addPanel, element, upstream, widgetValues } from "./panel.js";
import { words } from "./language.js";

const say = words({
  en: { none: "No file chosen.", apply: "Connect Load Hypernet to see what is applied.", made: "The network is made when this runs." },
  zh: { none: "未选择文件。", apply: "连接“加载 Hypernet”即可查看所应用的网络。", made: "网络在运行时生成。" },
});
const labels = words({
  en: {},
  zh: {
    name: "名称", steps: "步数", structure: "结构", activation: "激活函数", "layer norm": "层归一化", dropout: "丢弃",
    widths: "宽度", parameters: "参数", size: "大小", "trained on": "训练底模", note: "备注", residual: "变化量",
    tree: "树", networks: "网络",
  },
});
const SHORT = ["steps", "structure", "activation", "widths", "trained on", "networks"];

app.registerExtension({
  name: "Hypernet.File",
  nodeCreated(node) {
    const kind = node.comfyClass;
    if (kind === "HypernetLoad" || kind === "HypernetInspect")
      addPanel(node, { height: 150, question: () => fileOf(node), show: (found, place) => place.replaceChildren(facts(found.lines)) });
    if (kind === "HypernetApply")
      addPanel(node, { height: 80, question: () => fileAbove(node), show: showShort });
  },
});

function fileOf(node) {
  const { name } = widgetValues(node, ["name"]);
  return name ? { path: `file?name=${encodeURIComponent(name)}` } : say.none;
}

function fileAbove(node) {
  const source = upstream(node, "hypernet");
  if (source?.comfyClass === "HypernetLoad") return fileOf(source);
  return source ? say.made : say.apply;
}

/** Lines of (label, text) as a list that screen readers can go through. */
export function facts(lines) {
  return element("dl", { class: "hypernet-notes hypernet-dl", tabindex: 0 }, ...lines.flatMap(([label, text]) => [
    element("dt", {}, labels[label] ?? label), element("dd", {}, text),
  ]));
}

function showShort({ lines }, place) {
  const known = Object.fromEntries(lines);
  const parts = SHORT.filter((label) => known[label]).map((label) => `${labels[label] ?? label} ${known[label]}`);
  place.replaceChildren(element("b", {}, known.name), element("div", { class: "hypernet-notes hypernet-facts", tabindex: 0 }, parts.join(" · ")));
}
