/** {0}、{1} …… 代表数值。 */
export default {
	panel: {
		linked: "有设置来自其他节点，运行时才知道。",
	},
	file: {
		none: "未选择文件。",
		apply: "连接“加载超网络”即可查看所应用的网络。",
		made: "网络在运行时生成。",
	},
	pictures: {
		none: "连接“加载数据集”即可查看图片。",
	},
	desk: {
		close: "关闭",
		explain: "各项设置的含义",
		select: "请先选择一个 Hypernet 节点。",
		files: "models/hypernetworks 中的文件",
		empty: "还没有文件。",
		queued: "Hypernet：名称已被占用",
		done: "Hypernet：完成",
		failed: "Hypernet：失败",
		stopped: "Hypernet：已中断",
		kept: "已训练的内容已保留，再次运行即可继续。",
	},
	plan: {
		anew: "重新训练为 {0}",
		further: "继续训练 {0}",
		resume: "接着训练 {0}",
	},
	sections: {
		previews: "预览",
		saving: "名称与保存",
		memory: "速度与显存",
		learning: "优化器与损失",
		checks: "探针与保持",
		changed: "已改 {0} 项",
	},
};
