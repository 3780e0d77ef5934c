"""Caption: chooses the caption of each picture, and the templates that make prompts of it.

The node takes all inputs as lists, because texts are a list, one for each picture.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypernet.captions.given_texts import notes_on, read_answer
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
from hypernet.dataset.items import Dataset
from hypernet.text.lists_of_names import some

from ...compat import Faults, io, ui
from ..shared.demo_model import refuse_demo
from ..shared.lists import one_of_each, only
from ..shared.sockets import CATEGORY, DatasetSocket
from .last_captions import remember
from .tagging import Tagging, tagger_input
from .texts import Texts

IN_ORDER = "as in source_order"
ORDERS = {
    "sidecar, then file name": ("sidecar", "file name"),
    "sidecar, then fixed text": ("sidecar", "fixed text"),
    "sidecar only": ("sidecar",),
    "file name only": ("file name",),
    "fixed text only": ("fixed text",),
    "sidecar, then tagger": ("sidecar", "tagger"),
    "tagger only": ("tagger",),
    "sidecar, then texts": ("sidecar", "texts"),
    "texts only": ("texts",),
}
USUAL_ORDER = ", ".join(SOURCES[:-1])  # texts were added later, and old graphs shall not ask
NEVER, MISSING, ALWAYS = "never", "where there is none", "always, keeping old ones"


class Caption(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetCaption",
            display_name="Caption (Hypernet)",
            category=CATEGORY,
            is_input_list=True,
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
            description="Chooses the words of every picture and the prompts made of them. "
            "Files are changed only when write_sidecars says so.",
            search_aliases=[
                "captions", "tags", "filewords", "prompt template", "deepdanbooru", "wd14 tagger",
                "interrogate", "blip", "qwen-vl", "florence", "joycaption",
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
                    "source_order", default=USUAL_ORDER, optional=True, advanced=True,
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
                io.String.Input(
                    "texts", force_input=True, lazy=True, optional=True,
                    tooltip="For the source texts: one text for each picture, as a node writes "
                    "them about the pictures of Dataset Pictures.",
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
        source_order: list | None = None,
        name_pattern: list | None = None,
        replace_tags: list | None = None,
        tagger: dict | None = None,
    ) -> bool | str:
        """Each argument is a list with one value, which is None if it comes from another node.

        Hosts pass `tagger` here too, but it is only read when the node runs.
        """
        order, pattern, replacements = map(only, (source_order, name_pattern, replace_tags))
        faults = Faults()
        with faults.of("source_order"):
            read_sources(order if order is not None else USUAL_ORDER)
        with faults.of("name_pattern"):
            NameWords(pattern=pattern or "")
        with faults.of("replace_tags"):
            read_replacements(replacements or "")
        return faults.answer()

    @classmethod
    def check_lazy_status(
        cls, dataset: list, texts: list | None = None, template: Any = None, tagger: Any = None,
        write_sidecars: Any = None, **words,
    ) -> list[str]:  # fmt: skip
        """Ask for the texts only if pictures need some that are not known from earlier."""
        known = Texts.of(texts, cls.hidden.prompt, str(cls.hidden.unique_id))
        if known is None:
            return []
        wanted = wanting(dataset[0], rules_of(**one_of_each(words)).wants_text)
        return [] if known.knows(wanted) else ["texts"]

    @classmethod
    def execute(cls, texts: list | None = None, **inputs) -> io.NodeOutput:
        given = Texts.of(texts, cls.hidden.prompt, str(cls.hidden.unique_id))
        captioned, report = caption(given, **one_of_each(inputs))
        remember(captioned)
        return io.NodeOutput(captioned, report, ui=ui.PreviewText(report))


def caption(
    texts: Texts | None, *, dataset: Dataset, template: str, tagger: dict | None = None,
    write_sidecars: str = NEVER, **words: Any,
) -> tuple[Dataset, str]:  # fmt: skip
    """(the captioned dataset, the report)."""
    rules = rules_of(**words)
    captioned, notes = captioned_by(dataset, rules, Tagging.of(tagger), texts)
    templates = read_templates(template)
    captioned = replace(captioned, words=replace(captioned.words, templates=templates))
    captioned, told = with_sidecars(captioned, write_sidecars)
    if texts is not None and "texts" not in rules.sources:
        told.append(f'Texts are connected, and the source "{words["source"]}" does not use them.')
    return captioned, "\n".join([*samples(captioned), *notes, *told])


def rules_of(
    *, source: str, fixed_text: str, existing: str = "ignore", trigger_word: str = "",
    block_tags: str = "", replace_tags: str = "", source_order: str = USUAL_ORDER,
    name_pattern: str = "", name_joint: str = " ", joint: str = ", ",
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
    dataset: Dataset, rules: CaptionRules, tagging: Tagging | None, texts: Texts | None
) -> tuple[Dataset, list[str]]:
    """The dataset with its new captions, and notes for the user about them."""
    tagged, faults = tagged_by(dataset, rules, tagging)
    answers = {path: read_answer(text) for path, text in texts_for(dataset, rules, texts).items()}
    words = []
    for item, had in zip(dataset.items, existing_words(dataset), strict=True):
        given = answers[item.path].words if item.path in answers else ""
        said = tagged.get(item.path, "")
        words.append(rules.caption(item.path, had, said, item.written, given))
    seen = bool(tagged or answers)
    notes = unfound(rules, dataset) if rules.edits != NO_EDITS and not seen else []
    notes += [f"Not shown to the tagger: {fault}" for fault in faults] + notes_on(answers)
    if answers and texts is not None and texts.given is None:
        notes.append(
            f"The texts of {len(answers)} pictures are from an earlier run. Change a setting of "
            "the node that writes them to ask it again."
        )
    empty = [item.path.name for item, text in zip(dataset.items, words, strict=True) if not text]
    if empty:
        notes.append(f"{len(empty)} pictures have no words: {some(empty)}.")
    return dataset.with_captions(words), notes


def existing_words(dataset: Dataset) -> list[str]:
    """What each item is called before this node."""
    return [item.caption if dataset.captioned else item.written for item in dataset.items]


def wanting(dataset: Dataset, wants: Callable[[Path, str, str], bool]) -> list[Path]:
    """The pictures, each once, for which wants(picture, existing words, sidecar) says so."""
    pairs = zip(dataset.items, existing_words(dataset), strict=True)
    return list(
        dict.fromkeys(item.path for item, had in pairs if wants(item.path, had, item.written))
    )


def tagged_by(
    dataset: Dataset, rules: CaptionRules, tagging: Tagging | None
) -> tuple[dict[Path, str], list[ValueError]]:
    """(captions by the tagger, the faults of pictures that it cannot be shown)."""
    asked = wanting(dataset, rules.wants_tagger)
    if asked and tagging is None and rules.sources[-1] == "tagger":
        raise ValueError(
            f'{len(asked)} pictures, such as "{asked[0].name}", need the tagger to get words, '
            "and tagger is none. Choose one, or another source."
        )
    if not asked or tagging is None:
        return {}, []
    tagged, faults = tagging.captions(asked, rules.edits)
    if faults and not dataset.skip_unreadable:
        raise ValueError(
            f"{len(faults)} pictures cannot be shown to the tagger: {faults[0]} Replace or remove "
            'them, or choose "skip" for unreadable pictures in Load Dataset.'
        )
    return tagged, faults


def texts_for(dataset: Dataset, rules: CaptionRules, texts: Texts | None) -> dict[Path, str]:
    """The texts of the pictures that need them."""
    wanted = wanting(dataset, rules.wants_text)
    if wanted and texts is None and rules.sources[-1] == "texts":
        raise ValueError(
            f'{len(wanted)} pictures, such as "{wanted[0].name}", need texts to get words, and '
            "none are connected. Connect Dataset Pictures to a node that describes a picture, and "
            "what it writes to texts."
        )
    if not wanted or texts is None:
        return {}
    return texts.read(wanted, list(dict.fromkeys(item.path for item in dataset.items)))


def unfound(rules: CaptionRules, dataset: Dataset) -> list[str]:
    """A note naming the tags to block or replace that no caption has; [] if there are none."""
    bare = replace(rules, edits=NO_EDITS)
    said = {
        meaning(tag)
        for item, had in zip(dataset.items, existing_words(dataset), strict=True)
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
