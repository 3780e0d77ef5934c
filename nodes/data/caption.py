"""Caption: chooses the caption of each picture, and the templates that make prompts of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypernet.captions.prompts import TEMPLATE, prompt_of, read_templates
from hypernet.captions.sources import (
    EXISTING,
    SOURCES,
    CaptionRules,
    NameWords,
    read_sources,
    write_sidecar,
)
from hypernet.captions.tags import (
    NO_EDITS,
    TagEdits,
    meaning,
    read_list,
    read_replacements,
    split_tags,
)
from hypernet.dataset.items import Dataset, Item
from hypernet.text.lists_of_names import some

from ...compat import Faults, io, ui
from ..shared.demo_model import refuse_demo
from ..shared.sockets import CATEGORY, DatasetSocket
from .tagging import Tagging, tagger_input

IN_ORDER = "as in source_order"
ORDERS = {
    "sidecar, then file name": ("sidecar", "file name"),
    "sidecar, then fixed text": ("sidecar", "fixed text"),
    "sidecar only": ("sidecar",),
    "file name only": ("file name",),
    "fixed text only": ("fixed text",),
    "sidecar, then tagger": ("sidecar", "tagger"),
    "tagger only": ("tagger",),
}
NEVER, MISSING, ALWAYS = "never", "where there is none", "always, keeping old ones"


class Caption(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetCaption",
            display_name="Caption (Hypernet)",
            category=CATEGORY,
            description="Chooses the words of every picture and the prompts made of them. "
            "Files are changed only when write_sidecars says so.",
            search_aliases=[
                "captions", "tags", "filewords", "prompt template", "deepdanbooru", "wd14 tagger",
                "interrogate", "blip",
            ],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures from Load Dataset."),
                io.Combo.Input(
                    "source", options=[*ORDERS, IN_ORDER], default=next(iter(ORDERS)),
                    tooltip="Where words come from; a sidecar is name.txt or "
                    "name.caption beside name.png.",
                ),
                io.String.Input(
                    "fixed_text", default="",
                    tooltip="Caption for pictures that get one from here.",
                ),
                io.String.Input(
                    "template", default=TEMPLATE, multiline=True,
                    tooltip="Training prompts, one a line, drawn at random: [filewords] becomes "
                    "the caption, [name] the hypernetwork's name.",
                ),
                tagger_input(),
                io.Combo.Input(
                    "existing", options=list(EXISTING), default="ignore", optional=True,
                    tooltip="What becomes of words that a picture has, in its sidecar or from an "
                    "earlier Caption: ignore (new ones alone), keep (where there are any), replace "
                    "(where there are new ones), prepend (old ones first), append (old ones last).",
                ),
                io.String.Input(
                    "trigger_word", default="", optional=True,
                    tooltip="Word or tags put in front of every caption.",
                ),
                io.String.Input(
                    "block_tags", default="", multiline=True, optional=True, advanced=True,
                    tooltip="Tags that come into no caption, with commas between them.",
                ),
                io.String.Input(
                    "replace_tags", default="", multiline=True, optional=True, advanced=True,
                    tooltip="Tags to say in other words, one a line: gray hair -> grey hair.",
                ),
                io.String.Input(
                    "source_order", default=", ".join(SOURCES), optional=True, advanced=True,
                    tooltip="For that choice of source: sources in the order in which they are "
                    f"asked, of {', '.join(SOURCES)}. The first that has words gives the caption.",
                ),
                io.String.Input(
                    "name_pattern", default="", optional=True, advanced=True,
                    tooltip="Regular expression for the words of a file name, as in A1111: all "
                    "that matches counts. Empty: the whole name. A number in front never counts.",
                ),
                io.String.Input(
                    "name_joint", default=" ", optional=True, advanced=True,
                    tooltip="What is put between the words that name_pattern finds.",
                ),
                io.String.Input(
                    "joint", default=", ", optional=True, advanced=True,
                    tooltip="What is put between old and new words. With a comma, what both say "
                    "is said once; A1111 puts a blank.",
                ),
                io.Combo.Input(
                    "write_sidecars", options=[NEVER, MISSING, ALWAYS], default=NEVER,
                    optional=True, advanced=True,
                    tooltip="Write captions to name.txt beside the pictures. What stood there is "
                    "kept as name.txt.bak.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", display_name="dataset"),
                io.String.Output("report", display_name="report"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls,
        source_order: str | None = None,
        name_pattern: str | None = None,
        replace_tags: str | None = None,
        tagger: dict | None = None,
    ) -> bool | str:
        """Hosts pass `tagger` here too, but it is only read when the node runs."""
        faults = Faults()
        with faults.of("source_order"):
            read_sources(source_order if source_order is not None else ", ".join(SOURCES))
        with faults.of("name_pattern"):
            NameWords(pattern=name_pattern or "")
        with faults.of("replace_tags"):
            read_replacements(replace_tags or "")
        return faults.answer()

    @classmethod
    def execute(
        cls, dataset, source: str, fixed_text: str, template: str, tagger: dict | None = None,
        existing: str = "ignore", trigger_word: str = "", block_tags: str = "",
        replace_tags: str = "", source_order: str = ", ".join(SOURCES), name_pattern: str = "",
        name_joint: str = " ", joint: str = ", ", write_sidecars: str = NEVER,
    ) -> io.NodeOutput:  # fmt: skip
        rules = rules_of(
            source=source, fixed_text=fixed_text, existing=existing, trigger_word=trigger_word,
            block_tags=block_tags, replace_tags=replace_tags, source_order=source_order,
            name_pattern=name_pattern, name_joint=name_joint, joint=joint,
        )  # fmt: skip
        captioned, notes = captioned_by(dataset, rules, Tagging.of(tagger))
        captioned = replace(
            captioned, words=replace(captioned.words, templates=read_templates(template))
        )
        captioned, told = with_sidecars(captioned, write_sidecars)
        report = "\n".join([*samples(captioned), *notes, *told])
        return io.NodeOutput(captioned, report, ui=ui.PreviewText(report))


def rules_of(
    *, source: str, fixed_text: str, existing: str, trigger_word: str, block_tags: str,
    replace_tags: str, source_order: str, name_pattern: str, name_joint: str, joint: str,
) -> CaptionRules:  # fmt: skip
    """The rules that the widgets describe. Raises ValueError quoting an invalid text."""
    return CaptionRules(
        sources=read_sources(source_order) if source == IN_ORDER else ORDERS[source],
        fixed=fixed_text,
        name_words=NameWords(pattern=name_pattern, joint=name_joint),
        existing=existing,
        joint=joint,
        edits=TagEdits(block=read_list(block_tags), replacements=read_replacements(replace_tags)),
        trigger=trigger_word,
    )


def captioned_by(
    dataset: Dataset, rules: CaptionRules, tagging: Tagging | None
) -> tuple[Dataset, list[str]]:
    """The dataset with its new captions, and notes for the user about them."""
    old = [item.caption if dataset.captioned else item.written for item in dataset.items]
    asked = list(
        dict.fromkeys(
            item.path
            for item, had in zip(dataset.items, old, strict=True)
            if rules.wants_tagger(item.path, had, item.written)
        )
    )
    tagged: dict[Path, str] = {}
    faults: list[ValueError] = []
    if asked and tagging is None:
        if rules.sources[-1] == "tagger":
            raise ValueError(
                f'{len(asked)} pictures, such as "{asked[0].name}", need the tagger to get words, '
                "and tagger is none. Choose one, or another source."
            )
    elif asked and tagging is not None:
        tagged, faults = tagging.captions(asked, rules.edits)
    if faults and not dataset.skip_unreadable:
        raise ValueError(
            f"{len(faults)} pictures cannot be shown to the tagger: {faults[0]} Replace or remove "
            'them, or choose "skip" for unreadable pictures in Load Dataset.'
        )
    words = [
        rules.caption(item.path, had, tagged.get(item.path, ""), item.written)
        for item, had in zip(dataset.items, old, strict=True)
    ]
    notes = unfound(rules, dataset.items, old) if rules.edits != NO_EDITS and not tagged else []
    notes += [f"Not shown to the tagger: {fault}" for fault in faults]
    empty = [item.path.name for item, text in zip(dataset.items, words, strict=True) if not text]
    if empty:
        notes.append(f"{len(empty)} pictures have no words: {some(empty)}.")
    return dataset.with_captions(words), notes


def unfound(rules: CaptionRules, items: Sequence[Item], old: Sequence[str]) -> list[str]:
    """A note naming the tags to block or replace that no caption has; [] if there are none."""
    bare = replace(rules, edits=NO_EDITS)
    said = {
        meaning(tag)
        for item, had in zip(items, old, strict=True)
        for tag in split_tags(bare.caption(item.path, had, written=item.written))
    }
    lost = [tag for tag in (*rules.edits.block, *rules.edits.replacements) if tag not in said]
    if not lost:
        return []
    return [f"No caption has {len(lost)} of the tags to block or replace: {some(lost)}."]


def samples(dataset: Dataset) -> list[str]:
    """The prompts of the first five pictures."""
    template = dataset.words.templates[0]
    return [prompt_of(template, item.caption, "[name]") for item in dataset.items[:5]]


def with_sidecars(dataset: Dataset, when: str) -> tuple[Dataset, list[str]]:
    """Write the sidecars that `when` asks for. Returns the updated dataset and a note."""
    if when == NEVER:
        return dataset, []
    by_picture = {item.path: item.caption for item in reversed(dataset.items) if item.caption}
    if when == MISSING:
        known = {item.path for item in dataset.items if item.written}
        by_picture = {path: text for path, text in by_picture.items() if path not in known}
    for folder in {path.parent for path in by_picture}:
        refuse_demo(folder)
    files = [file for path, text in by_picture.items() if (file := write_sidecar(path, text))]
    items = tuple(
        replace(item, written=by_picture.get(item.path, item.written)) for item in dataset.items
    )
    return replace(dataset, items=items), [f"{len(files)} caption files written."]
