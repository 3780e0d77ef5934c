"""What the extension is made of, without a browser."""

from __future__ import annotations

import re

import pytest
from editing import REPOSITORY

WEB = REPOSITORY / "web"
SCRIPTS = sorted(path for path in WEB.rglob("*") if path.suffix in (".js", ".mjs"))
STYLES = sorted(WEB.rglob("*.css"))
MOST_BYTES = 60_000
MARKUP = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")


@pytest.mark.xfail(reason="63.4 kB so far, in two languages", strict=True)
def test_the_extension_stays_small():
    sizes = {str(path.relative_to(WEB)): path.stat().st_size for path in SCRIPTS}
    assert 0 < sum(sizes.values()) <= MOST_BYTES, sizes


def test_it_names_no_other_server():
    for path in (*SCRIPTS, *STYLES):
        text = path.read_text("utf-8").replace("http://www.w3.org/", "")  # names of XML, not places
        assert not re.search(r"(https?|wss?)://", text), path


def test_no_text_becomes_markup_or_code():
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        assert not [word for word in MARKUP if word in text], path


def test_it_changes_nothing_of_the_editors():
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        assert not re.search(r"\.prototype\.\w+\s*=[^=]", text), path
        assert not re.search(r"\b(window|globalThis)\.\w+\s*=[^=]", text), path
