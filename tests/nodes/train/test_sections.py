"""web/train/sections.js says where the editor shows each setting of Train Hypernet."""

import json
import re
from collections import Counter
from pathlib import Path

from hypernet_pack.nodes.train.train_hypernet import TrainHypernet

SECTIONS = Path(__file__).parents[3] / "web" / "train" / "sections.js"
NOT_INPUTS = {"plan", "training", "hypernet_panel"}  # what the editor's extension adds


def read(name: str) -> list | dict:
    found = re.search(rf"export const {name} = (.*?);\n", SECTIONS.read_text("utf-8"), re.DOTALL)
    assert found
    text = re.sub(r"(\w+):", r'"\1":', found[1])
    return json.loads(re.sub(r",(\s*[\]}])", r"\1", text))


def settings(*, rare: bool) -> list[str]:
    """The inputs that have widgets, by their names."""
    inputs = TrainHypernet.define_schema().inputs
    return [i.id for i in inputs if hasattr(i, "default") and bool(i.advanced) == rare]


def test_every_rare_setting_is_in_exactly_one_section():
    placed = Counter(name for names in read("SECTIONS").values() for name in names)
    assert placed - Counter(NOT_INPUTS) == Counter(settings(rare=True))


def test_every_other_setting_is_always_visible():
    assert Counter(read("ALWAYS")) - Counter(NOT_INPUTS) == Counter(settings(rare=False))
