"""Training Words: shuffles and drops tags while training, and sets how often pictures are shown."""

from dataclasses import replace
from pathlib import Path

from hypernet.captions.prompts import Words, open_templates, prompt_at
from hypernet.captions.repeats import read_rules, weight_of, weighted
from hypernet.dataset.items import Dataset
from hypernet.text.names import find_below

from ...compat import Faults, input_folder, io, ui
from ..shared.sockets import CATEGORY, DatasetSocket, default


class TrainingWords(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetWords",
            display_name="Training Words (Hypernet)",
            category=CATEGORY,
            description="Shuffles and drops tags while training, by the seed and the step, reads "
            "template files, and shows some pictures more often than others.",
            search_aliases=[
                "shuffle tags", "keep tokens", "tag dropout", "caption dropout", "repeats",
                "template file",
            ],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures with words, from Caption."),
                io.String.Input(
                    "template_file", default="",
                    tooltip="Text with one prompt a line, in the input directory or as a full "
                    "path; A1111's fit. Empty: the templates of Caption.",
                ),
                io.Boolean.Input(
                    "shuffle", default=default(Words, "shuffle"),
                    tooltip="Show the tags of a caption in another order each time.",
                ),
                io.Int.Input(
                    "keep_first", default=default(Words, "keep_first"), min=0, max=1000,
                    tooltip="Tags at the front that stay in place and are never dropped.",
                ),
                io.Float.Input(
                    "tag_dropout", default=default(Words, "tag_dropout"),
                    min=0.0, max=1.0, step=0.01,
                    tooltip="How likely every other tag is to be missing, 0 to 1.",
                ),
                io.Float.Input(
                    "caption_dropout", default=default(Words, "caption_dropout"),
                    min=0.0, max=1.0, step=0.01,
                    tooltip="How likely the whole prompt is to be empty, 0 to 1.",
                ),
                io.Int.Input(
                    "variants", default=default(Words, "variants"), min=1, max=10_000,
                    advanced=True,
                    tooltip="Forms that shuffling and dropout make of one caption. Each is "
                    "encoded before training, about 0.3 MB on the disk.",
                ),
                io.String.Input(
                    "weights", default="", multiline=True, advanced=True,
                    tooltip="How often pictures are shown, by tag or file name, one rule a line; "
                    "the first that fits counts: close-up = 2, *_bad* = 0.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", display_name="dataset"),
                io.String.Output("report", display_name="report"),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, template_file: str, **others) -> str:
        """The template file's time and size, so that a changed file is read again."""
        if not template_file.strip():
            return ""
        stat = find(template_file).stat()
        return f"{stat.st_mtime_ns}/{stat.st_size}"

    @classmethod
    def validate_inputs(
        cls, template_file: str | None = None, weights: str | None = None
    ) -> bool | str:
        faults = Faults()
        with faults.of("template_file"):
            if template_file and template_file.strip():
                open_templates(find(template_file))
        with faults.of("weights"):
            read_rules(weights or "")
        return faults.answer()

    @classmethod
    def execute(cls, dataset, template_file: str, weights: str, **settings) -> io.NodeOutput:
        templates = dataset.words.templates
        if template_file.strip():
            templates = open_templates(find(template_file))
        changed = replace(dataset, words=Words(templates=templates, **settings))
        changed, notes = shown_by(changed, weights)
        report = "\n".join([*samples(changed), *notes])
        return io.NodeOutput(changed, report, ui=ui.PreviewText(report))


def find(template_file: str) -> Path:
    name = template_file.strip().strip('"')
    match = find_below(input_folder(), name)
    return input_folder() / (match.name if match else Path(name).expanduser())


def shown_by(dataset: Dataset, weights: str) -> tuple[Dataset, list[str]]:
    """The dataset with repeats multiplied by the weights, and a note on what a pass shows."""
    rules = read_rules(weights)
    names = (item.path.relative_to(dataset.folder).as_posix() for item in dataset.items)
    found = [
        weight_of(name, item.caption, rules)
        for name, item in zip(names, dataset.items, strict=True)
    ]
    repeats = weighted([item.repeats for item in dataset.items], found)
    items = tuple(
        replace(item, repeats=count) for item, count in zip(dataset.items, repeats, strict=True)
    )
    shown = replace(dataset, items=items)
    fitting = sum(weight != 1 for weight in found)
    if not rules:
        return shown, []
    return shown, [f"Weights fit {fitting} pictures; a pass shows {len(shown.shown)}."]


def samples(dataset: Dataset) -> list[str]:
    """Possible prompts of the first five pictures, at seed 0."""
    return [
        prompt_at(dataset.words, item.caption, "[name]", 0, sample) or "(empty prompt)"
        for sample, item in enumerate(dataset.items[:5])
    ]
