"""What the extension is made of, without a browser."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from editing import REPOSITORY

WEB = REPOSITORY / "web"
SCRIPTS = sorted(path for path in WEB.rglob("*") if path.suffix in (".js", ".mjs"))
STYLES = sorted(WEB.rglob("*.css"))
assert SCRIPTS and STYLES
MOST_AT_ONCE = 40_000
MOST_COLUMNS = 100
MARKUP = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_extension_stays_small(language):
    """Before anything is opened: every .js, and the words of the language. An .mjs comes later.

    tests/js/size.test.mjs counts all of it."""
    loaded = [path for path in SCRIPTS if path.suffix == ".js" or path.stem == language]
    sizes = {str(path.relative_to(WEB)): path.stat().st_size for path in loaded}
    assert 0 < sum(sizes.values()) <= MOST_AT_ONCE, sizes


def test_both_languages_say_the_same_things_with_the_same_values():
    english, chinese = (said_in(language) for language in ("en", "zh"))
    for language, said in (("en", english), ("zh", chinese)):
        said |= {file: said_in(file)[language] for file in ("book", "album", "training", "drawn")}
    assert {part: set(said) for part, said in english.items()} == {
        part: set(said) for part, said in chinese.items()
    }
    for part, said in english.items():
        for key, words in said.items():
            values = re.findall(r"\{\d\}", words)
            assert sorted(values) == sorted(re.findall(r"\{\d\}", chinese[part][key])), key


def said_in(file: str) -> dict[str, dict[str, str]]:
    """The words of a language, by part and key; of the book, by language and key."""
    text = (WEB / "words" / f"{file}.mjs").read_text("utf-8").partition("export default ")[2]
    text = re.sub(r"([{,]\s*)(\w+):", r'\1"\2":', text.rstrip(";\n"))
    return json.loads(re.sub(r",(\s*\})", r"\1", text))


def test_what_is_loaded_when_it_is_wanted_has_an_address_of_its_own_in_every_page():
    """Or a browser might keep an .mjs or .json over an update: hosts forbid it for .js and .css."""
    found = []
    for path in SCRIPTS:
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text("utf-8"), flags=re.DOTALL)
        for name in re.findall(r"""["'`](\S+\.(?:mjs|json))["'`]""", code):
            assert re.search(rf"fresh\(.{re.escape(name)}.\)", code), f"{path}: {name}"
            found.append(name)
    assert found


def test_no_line_is_longer_than_100_columns():
    """Biome breaks code, but neither comments nor strings. It takes a tab for 2 columns."""
    for path in (*SCRIPTS, *STYLES):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            assert sum(map(columns, line)) <= MOST_COLUMNS, f"{path}:{number}"


def columns(character: str) -> int:
    return 2 if character == "\t" or unicodedata.east_asian_width(character) in "WF" else 1


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
