/** 扩展程序的中文文本，按部分排列；{0}、{1} …… 代表数值。 */
export default {
  panel: {
    linked: "有设置来自其他节点，运行时才知道。",
  },
  network: {
    parameters: "个参数", file: "每个文件", widths: "宽度", norm: "层归一化", dropout: "丢弃",
  },
  curve: {
    steps: "步", curve: "各步的学习率",
  },
  file: {
    none: "未选择文件。", apply: "连接“加载超网络”即可查看所应用的网络。", made: "网络在运行时生成。",
  },
  facts: {
    name: "名称", steps: "步数", structure: "结构", activation: "激活函数", "layer norm": "层归一化", dropout: "丢弃", widths: "宽度",
    parameters: "参数", size: "大小", "trained on": "训练底模", note: "备注", residual: "变化量", tree: "树", networks: "网络",
  },
  pictures: {
    find: "查找", tag: "标签", all: "所有标签", save: "保存标注", drop: "放弃修改", edited: "项已修改", saved: "已保存的标注（旧内容保留为 .bak）：",
    none: "连接“加载数据集”即可查看图片。", report: "报告", becomes: "变为", unwritten: "取自文件名", caption: "标注：",
  },
  desk: {
    close: "关闭", files: "models/hypernetworks 中的文件", none: "还没有训练。", empty: "还没有文件。", run: "训练", state: "状态",
    finished: "已完成", open: "未完成", steps: "步数", rate: "学习率", pictures: "图片", model: "底模", changed: "修改时间",
    queued: "Hypernet：名称已被占用", done: "Hypernet：完成", failed: "Hypernet：失败", stopped: "Hypernet：已中断", kept: "已训练的内容已保留，再次运行即可继续。",
  },
  training: {
    view: "训练", none: "点击运行，在这里观看学习过程。", preparing: "正在准备图片和文字", training: "训练中", pausing: "本步完成后暂停", paused: "已暂停",
    stopping: "本步完成后停止", finishing: "正在保存网络", finished: "已完成", interrupted: "已中断；再次运行即可继续", failed: "失败",
    unfinished: "未完成；再次运行即可继续", count: "{0} / {1}", speed: "{0} 步/秒", pace: "每步 {0} 秒", left: "剩余 {0}",
    took: "用时 {0}", memory: "{0} / {1} GB", pause: "暂停", resume: "继续", stop: "停止并保留", save: "立即保存",
    pauseHint: "让训练停在当前位置；仍占用内存。", stopHint: "本步完成后结束训练，并把网络作为成品保存。", saveHint: "在运行文件夹中写入检查点，然后继续训练。", loss: "损失",
    lossHint: "最近约 50 步的平滑损失。将指针移到曲线上可查看单步损失。", probe: "探针", probeHint: "始终用相同图片和噪声测得的损失：最可信。", rate: "学习率",
    rateHint: "学习率", summary: "第 {0} 步到第 {1} 步的曲线：损失 {2}，探针 {3}，学习率 {4}。", step: "第 {0} 步", previews: "预览图",
    scrub: "显示到此步为止的预览图", enlarge: "放大第 {0} 步的预览图", close: "关闭", notes: "提示", offline: "服务器没有响应。",
    hours: "{0} 小时 {1} 分", minutes: "{0} 分", seconds: "{0} 秒",
  },
};
