/** What the extension says in English, by its parts. {0}, {1} … stand for values. */
export default {
  panel: {
    linked: "Known when it runs: a setting comes from another node.",
  },
  network: {
    parameters: "parameters", file: "a file", widths: "widths", norm: "layer norm", dropout: "dropout",
  },
  curve: {
    steps: "steps", curve: "Learning rate over the steps",
  },
  file: {
    none: "No file chosen.", apply: "Connect Load Hypernet to see what is applied.",
    made: "The network is made when this runs.",
  },
  facts: {},
  pictures: {
    find: "Find", tag: "Tag", all: "all tags", save: "Save captions", drop: "Discard", edited: "edited",
    saved: "captions saved, old ones kept as .bak:", none: "Connect Load Dataset to see its pictures.",
    report: "Report", becomes: "becomes", unwritten: "from the file name", caption: "Caption of",
  },
  desk: {
    close: "Close", files: "Files in models/hypernetworks", none: "There are no runs yet.",
    empty: "There are no files yet.", run: "run", state: "state", finished: "finished", open: "unfinished",
    steps: "steps", rate: "learning rate", pictures: "pictures", model: "model", changed: "changed",
    queued: "Hypernet: the name is taken",
    done: "Hypernet: finished", failed: "Hypernet: failed", stopped: "Hypernet: interrupted",
    kept: "What was trained is kept. Run again to go on.",
  },
  training: {
    view: "Training", none: "Press Run and watch it learn here.", preparing: "Preparing pictures and words",
    training: "Training", pausing: "Pausing after this update", paused: "Paused",
    stopping: "Stopping after this update", finishing: "Saving the network", finished: "Finished",
    interrupted: "Interrupted; run again to go on", failed: "Failed", unfinished: "Unfinished; run again to go on",
    count: "{0} of {1}", speed: "{0} steps/s", pace: "{0} s per step", left: "{0} left", took: "took {0}",
    memory: "{0} of {1} GB", pause: "Pause", resume: "Resume", stop: "Stop and keep", save: "Save now",
    pauseHint: "Holds the training where it is; memory stays in use.",
    stopHint: "Ends the training after this update and saves the network as a finished one.",
    saveHint: "Writes a checkpoint into the run folder and goes on.", loss: "loss",
    lossHint: "Loss of the last 50 updates or so. Point at the curve for single ones.", probe: "probe",
    probeHint: "Loss on always the same pictures and noise: the one to trust.", rate: "rate",
    rateHint: "Learning rate", summary: "Curve from step {0} to {1}: loss {2}, probe {3}, learning rate {4}.",
    step: "step {0}", previews: "Previews", scrub: "Show previews up to step",
    enlarge: "Enlarge the preview of step {0}", close: "Close", notes: "Notes",
    offline: "The server does not answer.", hours: "{0} h {1} min", minutes: "{0} min", seconds: "{0} s",
  },
};
