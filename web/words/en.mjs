/** What the extension says in English, by its parts. {0}, {1} … stand for values. */
export default {
	panel: {
		linked: "Known when it runs: a setting comes from another node.",
	},
	file: {
		none: "No file chosen.",
		apply: "Connect Load Hypernet to see what is applied.",
		made: "The network is made when this runs.",
	},
	pictures: {
		none: "Connect Load Dataset to see its pictures.",
	},
	desk: {
		close: "Close",
		explain: "What the settings mean",
		select: "Select a node of Hypernet.",
		files: "Files in models/hypernetworks",
		empty: "There are no files yet.",
		queued: "Hypernet: the name is taken",
		done: "Hypernet: finished",
		failed: "Hypernet: failed",
		stopped: "Hypernet: interrupted",
		kept: "What was trained is kept. Run again to go on.",
	},
	plan: {
		anew: "Train anew as {0}",
		further: "Train {0} further",
		resume: "Go on with {0}",
	},
	sections: {
		previews: "Previews",
		saving: "Names and saving",
		memory: "Speed and memory",
		learning: "Optimizer and loss",
		checks: "Probe and preservation",
		changed: "{0} changed",
	},
};
