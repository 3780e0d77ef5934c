/**
 * The state of a run, as the server tells it. Events only say that there is news: it is fetched
 * once a second at most, and only while someone can see it, so a hidden view costs nothing.
 */
import {api} from "../../../scripts/api.js";
import {ask} from "../panel.js";

const BETWEEN = 1000; // milliseconds between fetches

export class Source {
	constructor(/** @type {WhichRun} */ which, /** @type {ShowsRun} */ show) {
		this.which = which;
		this.show = show;
		this.visible = false;
		this.stale = true;
		this.timer = 0;
		this.last = -BETWEEN;
	}

	/** Something has happened to the run. */
	news() {
		this.stale = true;
		if (this.visible && !this.timer) {
			const wait = Math.max(0, this.last + BETWEEN - performance.now());
			this.timer = setTimeout(() => this.fetch(), wait);
		}
	}

	setVisible(visible) {
		this.visible = visible;
		if (visible && this.stale) this.news();
		if (!visible) this.timer = clearTimeout(this.timer) ?? 0;
	}

	async fetch() {
		this.stale = false;
		const query = this.which();
		try {
			const found = query ? await ask(`runs/state?${query}`) : null;
			if (String(this.which()) === String(query)) this.show(found, "");
			else this.stale = true; // another run is wanted by now
		} catch (fault) {
			this.show(null, fault.message);
		}
		this.last = performance.now();
		this.timer = 0;
		if (this.stale) this.news();
	}

	/** Ask for pause, resume, stop or save; what the server has against it is thrown. */
	async ask(name, what) {
		await ask("runs/ask", {name, ask: what});
		this.news();
	}
}

/**
 * Where the picture after that step lies; began keeps runs of one name apart.
 * @type {PreviewAddress}
 */
export function previewAddress({name, began}, step) {
	const query = new URLSearchParams({name, step: `${step}`, began: `${began}`});
	return api.apiURL(`/hypernet/runs/preview?${query}`);
}
