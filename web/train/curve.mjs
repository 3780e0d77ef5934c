/**
 * Loss, probe and learning rate on a canvas. The server gives at most 1000 points a line, so
 * drawing costs the same after 100 steps and after 100,000.
 */
import {fresh} from "../language.js";

const {short, whole} = await import(fresh("./words.mjs"));

const EDGE = {left: 38, right: 8, top: 6, bottom: 18};
const SHARPER = 2; // canvas pixels to one of the page's, so that it stays sharp when zoomed in
const OUTLIERS = 0.02; // of the smoothed loss, which begins with single ones

/** What is drawn at which height: [lowest, highest] of the losses, without outliers. */
export function lossRange(/** @type {Curves} */ curves) {
	const sorted = [...curves.smoothed.last].sort((a, b) => a - b);
	const skipped = Math.floor(sorted.length * OUTLIERS);
	const values = [sorted[skipped], sorted[sorted.length - 1 - skipped], ...curves.probe.mean];
	const low = Math.min(...values);
	const high = Math.max(...values);
	const spare = (high - low || Math.abs(high) || 1) * 0.08;
	return [low - spare, high + spare];
}

/** About `count` round numbers from low to high. */
export function ticks(low, high, count) {
	const rough = (high - low) / count || 1;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
	const found = [];
	for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
	return found;
}

/**
 * The place of the last point at or before the step, -1 if there is none.
 * @type {PlaceAt}
 */
export function placeAt(line, step) {
	let [low, high] = [0, line.step.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (line.step[middle] <= step) low = middle + 1;
		else high = middle;
	}
	return low - 1;
}

/**
 * The step under a place of the canvas, in its own pixels.
 * @type {StepAt}
 */
export function stepAt(canvas, curves, x) {
	const steps = curves.loss.step;
	const part = (x - EDGE.left) / (canvas.clientWidth - EDGE.left - EDGE.right);
	const [first, last] = [steps[0], steps[steps.length - 1]];
	return Math.round(first + Math.min(1, Math.max(0, part)) * (last - first));
}

/** @type {DrawsCurves} */
export function draw(canvas, curves, look, pointed) {
	const scale = Math.max(SHARPER, devicePixelRatio);
	const [width, height] = [canvas.clientWidth, canvas.clientHeight];
	if (canvas.width !== width * scale) canvas.width = width * scale;
	if (canvas.height !== height * scale) canvas.height = height * scale;
	const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
	pen.setTransform(scale, 0, 0, scale, 0, 0);
	pen.clearRect(0, 0, width, height);
	if (!curves?.loss.step.length || width < 2 * EDGE.left) return;

	const plot = {
		left: EDGE.left,
		top: EDGE.top,
		width: width - EDGE.left - EDGE.right,
		height: height - EDGE.top - EDGE.bottom,
	};
	const steps = curves.loss.step;
	const [first, last] = [steps[0], steps[steps.length - 1]];
	const [low, high] = lossRange(curves);
	const fastest = Math.max(...curves.rate.last) * 1.08 || 1;
	const x = (step) => plot.left + (plot.width * (step - first)) / (last - first || 1);
	const y = (loss) => plot.top + (plot.height * (high - loss)) / (high - low);
	const rateY = (rate) => plot.top + plot.height * (1 - rate / fastest);

	pen.font = look.font;
	pen.lineWidth = 1;
	pen.strokeStyle = look.grid;
	pen.fillStyle = look.text;
	pen.textAlign = "right";
	pen.textBaseline = "middle";
	for (const loss of ticks(low, high, plot.height / 32)) {
		line(pen, [plot.left, plot.left + plot.width], [y(loss), y(loss)]);
		pen.fillText(short(loss), plot.left - 5, y(loss));
	}
	pen.textBaseline = "bottom";
	pen.textAlign = "center";
	for (const step of ticks(first, last, plot.width / 90)) {
		if (!Number.isInteger(step)) continue;
		const half = pen.measureText(whole(step)).width / 2;
		const at = Math.min(Math.max(x(step), plot.left + half), plot.left + plot.width - half);
		pen.fillText(whole(step), at, height - 2);
	}

	pen.save();
	pen.beginPath();
	pen.rect(plot.left, plot.top, plot.width, plot.height);
	pen.clip();
	pen.lineJoin = "round";
	pen.strokeStyle = look.rate;
	pen.setLineDash([3, 3]);
	line(pen, curves.rate.step.map(x), curves.rate.last.map(rateY));
	pen.setLineDash([]);
	pen.lineWidth = 1.5;
	pen.strokeStyle = look.loss;
	line(pen, curves.smoothed.step.map(x), curves.smoothed.last.map(y));
	pen.lineWidth = 2;
	pen.strokeStyle = pen.fillStyle = look.probe;
	line(pen, curves.probe.step.map(x), curves.probe.mean.map(y));
	if (curves.probe.step.length <= plot.width / 12) {
		curves.probe.step.forEach((step, place) => dot(pen, x(step), y(curves.probe.mean[place])));
	}
	if (pointed != null) {
		pen.lineWidth = 1;
		pen.strokeStyle = look.text;
		line(pen, [x(pointed), x(pointed)], [plot.top, plot.top + plot.height]);
	}
	pen.restore();
}

function line(pen, xs, ys) {
	pen.beginPath();
	xs.forEach((x, place) => pen.lineTo(x, ys[place]));
	pen.stroke();
}

function dot(pen, x, y) {
	pen.beginPath();
	pen.arc(x, y, 2.5, 0, 2 * Math.PI);
	pen.fill();
}
