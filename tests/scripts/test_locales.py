"""Words for the editor: English as the nodes say it, Chinese for all of it, at the same numbers."""

import importlib
import re

import pytest

locales = importlib.import_module("scripts.locales")

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-\d+)?")
VERBATIM = re.compile(  # what a user types, or looks for on the disk
    r"\[\w+\]|<[^<>]+>|models/\w+|[\w-]*\.(?:png|txt|bak|pt|safetensors|hns|optim|onnx|csv|json)\b"
)
SYNTAX = re.compile(r"[{}@|]")  # vue-i18n's
FILES = ("nodeDefs.json", "main.json", "settings.json", "commands.json", "templates.json")


def texts(language: str, name: str) -> dict[tuple, str]:
    return dict(locales.leaves(locales.read(language, name)))


@pytest.mark.parametrize("name", ["nodeDefs.json", "main.json"])
def test_english_is_what_the_nodes_say(name):
    drawn = dict(locales.leaves(locales.english()[name]))
    stale = {path for path in drawn.keys() ^ texts("en", name).keys()}
    stale |= {path for path, text in texts("en", name).items() if drawn.get(path, text) != text}
    assert not stale, f"locales/en is stale; run `python -m scripts.locales`: {sorted(stale)}"


@pytest.mark.parametrize("name", FILES)
def test_chinese_has_a_text_for_every_english_one(name):
    missing = locales.lacking(locales.read("en", name), locales.read("zh", name))
    assert not missing, f"add to locales/zh/{name}, in Chinese:\n{locales.as_json(missing)}"


@pytest.mark.parametrize("name", FILES)
def test_chinese_says_nothing_that_is_gone(name):
    gone = locales.lacking(locales.read("zh", name), locales.read("en", name))
    assert not gone, f"remove from locales/zh/{name}:\n{locales.as_json(gone)}"


@pytest.mark.parametrize("name", FILES)
def test_both_languages_name_the_same_numbers_files_and_placeholders(name):
    chinese, faults = texts("zh", name), []
    for path, english in texts("en", name).items():
        for kind in (NUMBER, VERBATIM):
            said, meant = set(kind.findall(chinese.get(path, ""))), set(kind.findall(english))
            if path in chinese and said != meant:
                faults.append(f"{'.'.join(path)}: {said ^ meant} in only one of them")
    assert not faults, "\n".join(faults)


def test_choices_in_words_have_their_chinese_and_no_other_has():
    """A choice that begins with a capital is a name, such as AdamW 8-bit."""
    path = locales.LOCALES.parent / "web" / "words" / "choices.zh.json"
    chinese = locales.json.loads(path.read_text("utf-8"))
    known = {each for *_, options, _ in locales.choices() for each in options} | {"none"}
    assert chinese.keys() <= known
    assert {each for each in known if " " in each and each[0].islower()} <= chinese.keys()
    assert all(said.endswith(f" · {each}") for each, said in chinese.items())


def test_chinese_tooltips_keep_the_choices_that_english_ones_explain():
    """Menus show the choices in English, too, whatever the language."""
    chinese = texts("zh", "nodeDefs.json")
    lost = [
        f"{node}.{name}: {option}"
        for node, name, options, tooltip in locales.choices()
        for option in options
        if f"{option}:" in tooltip or f"{option} (" in tooltip
        if option not in chinese.get((node, "inputs", name, "tooltip"), "")
    ]
    assert not lost


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", FILES)
def test_no_text_has_characters_that_the_editor_would_compile(language, name):
    odd = {path: text for path, text in texts(language, name).items() if SYNTAX.search(text)}
    assert not odd


@pytest.mark.parametrize("name", FILES)
def test_chinese_is_chinese(name):
    """A text copied to fill a gap has no Chinese in it; names of things may."""
    copied = [
        path
        for path, text in texts("zh", name).items()
        if path[-1] != "name" and not re.search("[\u4e00-\u9fff]", text)
    ]
    assert not copied
