/** What a file's facts are called; the server says it in English. */
export default {
	en: {},
	zh: {
		name: "名称",
		steps: "步数",
		structure: "结构",
		activation: "激活函数",
		"layer norm": "层归一化",
		dropout: "丢弃",
		widths: "宽度",
		places: "位置",
		model: "模型",
		"computes in": "计算精度",
		parameters: "参数",
		size: "大小",
		"trained on": "训练底模",
		note: "备注",
		residual: "变化量",
		tree: "树",
		networks: "网络",
	},
};
