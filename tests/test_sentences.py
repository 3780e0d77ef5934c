"""What the server says, in Chinese: web/words/sentences.zh.json has all of it, and no more.

Its keys are drawn out of the sources: every text of three words in hypernet/, nodes/ and
compat/comfyui, the values of an f-string as {0}, {1} … in their order. tests/web shows how they
are found again in what is said.
"""

from __future__ import annotations

import ast
import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from hypernet import HypernetSpec
from hypernet.captions.tags import ORDERS
from hypernet.formats.networks import SUFFIXES

ROOT = Path(__file__).parents[1]
CATALOGUE = json.loads((ROOT / "web" / "words" / "sentences.zh.json").read_text("utf-8"))
SOURCES = [
    *(ROOT / "hypernet").rglob("*.py"),
    *(ROOT / "nodes").rglob("*.py"),
    *(ROOT / "compat" / "comfyui").rglob("*.py"),
]
VALUE = re.compile(r"\{(\d)!?\}")
UNSAID = {
    # choices and settings, which are written as they are
    "as in source_order", "sidecar, then file name", "sidecar, then fixed text", "file name only",
    "fixed text only", "sidecar, then tagger", "sidecar, then texts",
    "where there is none", "always, keeping old ones",
    "stay on the card", "as the model", "add a number", "go on training it", "side by side",
    "1 to 2",
    "exponential {0} to {1}", "cosine {0} warmup {1}",
    '"cosine 1e-4 to 1e-6 warmup 100"',
    # tooltips of inputs that one function makes: locales/zh has them
    "From Train or Load Hypernet.",
    # in pictures
    "{0}, {1} steps", "loss of the probe", "useful: {0} to {1}", "cannot be read",
    "No pictures on this sheet: thumbnails is 0.", "at {0}, {1} of {2}", "trained at {0}x{1}{2}",
    "step {0}", "control: {0}",
    # names of what is drawn, of a network in a tree, and of fonts
    "size {0}", "latent {0}", "picture {0}", "tags of {0}", "{0} at {1}", "Hiragino Sans GB.ttc",
    # folders of systems
    "network trash folder", "system volume information",
    # prompts that tell encoders apart
    "a (red:1.3) fox by the [sea], masterpiece,", "one tree and another,",
    "ComfyUI {0}",
    # on the page that `hypernet report` writes
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'", "entry {0}", "{0} · Hypernet",
    "{0} ({1} at last)", "{0} h {1} min", "{0} min {1} s", "step {0} of {1}",
    # lines of progress in the terminal
    'Preparing "{0}"', 'Training "{0}"', "loss {0}, rate {1}", "Testing learning rates",
}  # fmt: skip
NO_FILE = (errno.EACCES, errno.ENOSPC, errno.ENOENT, errno.EISDIR, errno.EROFS, errno.EIO)
OTHERS = {  # made of several, or said by the system and by Pillow
    " or ".join(SUFFIXES), " or ".join(ORDERS), *map(os.strerror, NO_FILE),
    *(f"{field.name.replace('_', ' ')} {{0}}" for field in fields(HypernetSpec)),
    "image file is truncated", "image file is truncated ({0} bytes not processed)",
    "broken data stream when reading image file",
}  # fmt: skip


def template(node: ast.AST) -> str:
    """ "Step {0} of {1}" of an f-string; a text as it is."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    places = iter(range(len(node.values)))
    return "".join(
        part.value if isinstance(part, ast.Constant) else f"{{{next(places)}}}"
        for part in node.values
    )


def unread(node: ast.AST) -> list[ast.AST | None]:
    """What of a node says nothing to anyone, or is in locales/zh."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return [node.value]  # a docstring
    if isinstance(node, ast.JoinedStr):
        return [part for part in node.values if isinstance(part, ast.Constant)]
    if isinstance(node, ast.FormattedValue):
        return [node.format_spec]
    if isinstance(node, (ast.AnnAssign, ast.arg)):
        return [node.annotation]
    if isinstance(node, ast.Compare):
        return [node]
    if isinstance(node, ast.FunctionDef):
        other = node.name in ("define_schema", "texts")  # the latter is what a PNG holds
        return [node.returns, *(node.body if other else [])]
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name == "setting" or re.match(r"log\.|io\.\w+\.(Input|Output|Option)$", name):
            return [*node.args, *node.keywords]
    return []


def drawn(tree: ast.AST) -> Iterator[str]:
    """Every text below a node, as a template."""
    skipped = unread(tree)
    if text := template(tree).strip():
        yield text
    for child in ast.iter_child_nodes(tree):
        if child not in skipped:
            yield from drawn(child)


def is_sentence(text: str) -> bool:
    """Three words, or a word beside a value."""
    parts = text.split()
    words = re.search(r"[a-z]{2}", VALUE.sub("", text))
    return bool(words) and len(parts) > (1 if VALUE.search(text) else 2)


TEXTS = {text for path in SOURCES for text in drawn(ast.parse(path.read_text("utf-8")))}


def labels() -> dict[str, str]:
    """Names of inputs by their keys, as the editor shows them."""
    nodes = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text("utf-8"))
    kinds = ("LearningRate", "LoadDataset", "Config", "Words", "Prepare", "Train")
    inputs = [nodes[f"Hypernet{kind}"]["inputs"] for kind in kinds]
    return {key: about["name"] for each in inputs for key, about in each.items()}


def test_every_sentence_is_there_in_chinese():
    said = {text for text in TEXTS if is_sentence(text)}
    assert not sorted(said - CATALOGUE.keys() - UNSAID)
    assert not sorted(UNSAID - said), "nobody says these any more"


def test_nothing_is_there_that_nobody_says():
    assert not sorted(CATALOGUE.keys() - TEXTS - labels().keys() - OTHERS)


def test_names_of_inputs_are_those_that_the_editor_shows():
    shown = labels()
    assert {key: shown[key] for key in CATALOGUE if key in shown} == {
        key: CATALOGUE[key] for key in CATALOGUE if key in shown
    }


def test_the_same_values_are_in_both_languages():
    for english, chinese in CATALOGUE.items():
        assert chinese and set(VALUE.findall(english)) == set(VALUE.findall(chinese)), english
        assert not re.search(r"\}\{", english), f"which value ends where? {english}"


def test_it_speaks_chinese_with_its_own_punctuation():
    for chinese in CATALOGUE.values():
        assert not re.search(r"[\u4e00-\u9fff][,;:?!]|[\u4e00-\u9fff]\.(\s|$)", chinese), chinese
