/** What drawings of networks and of rates say; loaded with them. */
export default {
	en: {
		parameters: "parameters",
		file: "a file",
		widths: "widths",
		norm: "layer norm",
		dropout: "dropout",
		steps: "steps",
		curve: "Learning rate over the steps",
	},
	zh: {
		parameters: "个参数",
		file: "每个文件",
		widths: "宽度",
		norm: "层归一化",
		dropout: "丢弃",
		steps: "步",
		curve: "各步的学习率",
	},
};
