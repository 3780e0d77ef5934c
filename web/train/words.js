/** What the live view says. {0}, {1} … stand for values; see say(). */
import { words } from "../language.js";

export const text = words({
  en: {
    view: "Training",
    none: "Press Run and watch it learn here.",
    preparing: "Preparing pictures and words",
    training: "Training",
    pausing: "Pausing after this update",
    paused: "Paused",
    stopping: "Stopping after this update",
    finishing: "Saving the network",
    finished: "Finished",
    interrupted: "Interrupted; run again to go on",
    failed: "Failed",
    unfinished: "Unfinished; run again to go on",
    count: "{0} of {1}",
    speed: "{0} steps/s",
    pace: "{0} s per step",
    left: "{0} left",
    took: "took {0}",
    memory: "{0} of {1} GB",
    pause: "Pause",
    resume: "Resume",
    stop: "Stop and keep",
    save: "Save now",
    pauseHint: "Holds the training where it is; memory stays in use.",
    stopHint: "Ends the training after this update and saves the network as a finished one.",
    saveHint: "Writes a checkpoint into the run folder and goes on.",
    loss: "loss",
    lossHint: "Loss of the last 50 updates or so. Point at the curve for single ones.",
    probe: "probe",
    probeHint: "Loss on always the same pictures and noise: the one to trust.",
    rate: "rate",
    rateHint: "Learning rate",
    summary: "Curve from step {0} to {1}: loss {2}, probe {3}, learning rate {4}.",
    step: "step {0}",
    previews: "Previews",
    scrub: "Show previews up to step",
    enlarge: "Enlarge the preview of step {0}",
    close: "Close",
    notes: "Notes",
    offline: "The server does not answer.",
    hours: "{0} h {1} min",
    minutes: "{0} min",
    seconds: "{0} s",
  },
  zh: {
    view: "训练",
    none: "点击运行，在这里观看学习过程。",
    preparing: "正在准备图片和文字",
    training: "训练中",
    pausing: "本步完成后暂停",
    paused: "已暂停",
    stopping: "本步完成后停止",
    finishing: "正在保存网络",
    finished: "已完成",
    interrupted: "已中断；再次运行即可继续",
    failed: "失败",
    unfinished: "未完成；再次运行即可继续",
    count: "{0} / {1}",
    speed: "{0} 步/秒",
    pace: "每步 {0} 秒",
    left: "剩余 {0}",
    took: "用时 {0}",
    memory: "{0} / {1} GB",
    pause: "暂停",
    resume: "继续",
    stop: "停止并保留",
    save: "立即保存",
    pauseHint: "让训练停在当前位置；仍占用内存。",
    stopHint: "本步完成后结束训练，并把网络作为成品保存。",
    saveHint: "在运行文件夹中写入检查点，然后继续训练。",
    loss: "损失",
    lossHint: "最近约 50 步的平滑损失。将指针移到曲线上可查看单步损失。",
    probe: "探针",
    probeHint: "始终用相同图片和噪声测得的损失：最可信。",
    rate: "学习率",
    rateHint: "学习率",
    summary: "第 {0} 步到第 {1} 步的曲线：损失 {2}，探针 {3}，学习率 {4}。",
    step: "第 {0} 步",
    previews: "预览图",
    scrub: "显示到此步为止的预览图",
    enlarge: "放大第 {0} 步的预览图",
    close: "关闭",
    notes: "提示",
    offline: "服务器没有响应。",
    hours: "{0} 小时 {1} 分",
    minutes: "{0} 分",
    seconds: "{0} 秒",
  },
});

/** say("count", 3, 10): the sentence with its values. */
export function say(key, ...values) {
  return text[key].replace(/\{(\d)\}/g, (_, place) => values[place]);
}

/** 1234 as "1,234"; null as "–". */
export function whole(number) {
  return number == null ? "–" : number.toLocaleString("en");
}

/** Three digits of a number of any size: 0.0123, 5e-6. */
export function short(number) {
  if (number == null) return "–";
  const size = Math.abs(number);
  if (size && (size < 1e-3 || size >= 1e6)) return number.toExponential(2).replace(/\.?0*e/, "e");
  return String(Number(number.toPrecision(3)));
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 90) return say("seconds", Math.round(seconds));
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return say("minutes", minutes);
  return say("hours", Math.floor(minutes / 60), String(minutes % 60).padStart(2, "0"));
}
