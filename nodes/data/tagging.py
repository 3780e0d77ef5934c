"""The tagger of the Caption node: its inputs, finding its model, and captioning with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypernet.captions.tags import ORDERS, TagEdits, TagRules, caption_of_tags, read_list
from hypernet.taggers.caption_with import KINDS, cache_of, find_model, find_models, tag_pictures

from ... import compat
from ...compat import io
from ..shared.cache import cache_folder

log = logging.getLogger(__name__)

NO_TAGGER, NO_MODEL = "none", "(none found)"
BATCH = 4  # pictures; larger batches are hardly faster
# Default thresholds by kind of tagger and category of tags; 1 leaves a category out.
THRESHOLDS = {
    "DeepDanbooru": {"general": 0.5},
    "WD tagger": {"general": 0.35, "character": 0.85, "rating": 1.0},
    "BLIP": {},
}


def tagger_input() -> io.DynamicCombo.Input:
    options = [io.DynamicCombo.Option(NO_TAGGER, [])]
    for kind, thresholds in THRESHOLDS.items():
        ways = writing_inputs() if thresholds else []
        chosen = [threshold_input(*each) for each in thresholds.items()]
        options.append(io.DynamicCombo.Option(kind, [model_input(kind), *chosen, *ways]))
    return io.DynamicCombo.Input(
        "tagger", options=options, optional=True,
        tooltip="What looks at pictures when the source is a tagger: DeepDanbooru and WD taggers "
        "give tags, BLIP a sentence. Nothing is downloaded.",
    )  # fmt: skip


class OpenChoices(list):
    """Options of a combo that accept any value.

    Hosts check `value in options` before they ask the node, and only report that the value is not
    in the list. The node has a better message, which says which file to put where. Hosts skip their
    check for arguments of validate_inputs, but "tagger.model" cannot be an argument's name.
    """

    def __contains__(self, value: object) -> bool:
        return True


def model_input(kind: str) -> io.Combo.Input:
    return io.Combo.Input(
        "model", options=OpenChoices(find_models(kind, folders_of(kind)) or [NO_MODEL]),
        tooltip=f"Put {KINDS[kind].needs} into models/{KINDS[kind].folders[0]}.",
    )  # fmt: skip


def threshold_input(category: str, default: float) -> io.Float.Input:
    rare = category != "general"
    return io.Float.Input(
        f"{category}_threshold", default=default, min=0.05, max=1.0, step=0.01,
        optional=True, advanced=rare,
        tooltip=f"Score from which a {category} tag counts, 0.05 to 1."
        + (" 1 leaves them out." if rare else ""),
    )  # fmt: skip


def writing_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "order", options=list(ORDERS), default=ORDERS[0], optional=True, advanced=True,
            tooltip="Tags by the alphabet, as in A1111, or the surest first.",
        ),
        io.Boolean.Input(
            "underscores_to_spaces", default=True, optional=True, advanced=True,
            tooltip="long hair instead of long_hair.",
        ),
        io.Boolean.Input(
            "escape_brackets", default=True, optional=True, advanced=True,
            tooltip=r"smile \(expression\), because plain brackets mean emphasis in a prompt.",
        ),
        io.Boolean.Input(
            "scores", default=False, optional=True, advanced=True,
            tooltip="(long hair:0.912): the score becomes the emphasis.",
        ),
        io.String.Input(
            "only_tags", default="", multiline=True, optional=True, advanced=True,
            tooltip="If any: no other tags than these, with commas between them.",
        ),
    ]  # fmt: skip


def folders_of(kind: str) -> list[Path]:
    return [folder for name in KINDS[kind].folders for folder in compat.model_folders(name)]


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """The tagger that the widgets choose, and the rules for writing its tags."""

    kind: str
    model: Path
    rules: TagRules

    @classmethod
    def of(cls, chosen: dict[str, Any] | None) -> Tagging | None:
        """The tagging that the widgets describe; None for no tagger.

        Raises ValueError for an unknown kind, and FileNotFoundError, saying which file to put
        where, if the model is missing.
        """
        given = {name: value for name, value in (chosen or {}).items() if value is not None}
        kind = given.get("tagger", NO_TAGGER)
        if kind == NO_TAGGER:
            return None
        if kind not in THRESHOLDS:
            raise ValueError(f'Tagger "{kind}": give {NO_TAGGER}, {", ".join(THRESHOLDS)}.')
        thresholds = {
            category: given.get(f"{category}_threshold", default)
            for category, default in THRESHOLDS[kind].items()
        }
        rules = TagRules(
            thresholds={name: least for name, least in thresholds.items() if least < 1},
            order=given.get("order", ORDERS[0]),
            underscores_to_spaces=given.get("underscores_to_spaces", True),
            escape=given.get("escape_brackets", True),
            scores=given.get("scores", False),
            allow=read_list(given.get("only_tags", "")),
        )
        name = str(given.get("model", NO_MODEL))
        model = find_model(kind, name, folders_of(kind), log.warning)
        return cls(kind=kind, model=model, rules=rules)

    def captions(
        self, pictures: Sequence[Path], edits: TagEdits
    ) -> tuple[dict[Path, str], list[ValueError]]:
        """(caption by picture, errors of the pictures that cannot be read)."""
        found, faults = {}, []
        cache = cache_of(self.kind, self.model, cache_folder())
        progress = compat.Progress(len(pictures), title="Tagging")

        def opened():
            return KINDS[self.kind].open(self.model, compat.torch_device())

        said = tag_pictures(pictures, opened, cache, BATCH)
        for done, (path, tags) in enumerate(said, 1):
            if isinstance(tags, ValueError):
                faults.append(tags)
            else:
                found[path] = caption_of_tags(tags, self.rules, edits)
            progress.update(done)
            compat.raise_if_interrupted()
        compat.free_memory()
        return found, faults
