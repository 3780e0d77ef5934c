"""One rule for names: exact wins, similar ones are found and reported, ambiguous ones refused."""

import pytest

from hypernet.apply.prompt_tags import KNOWN_AS, Tag, find_files, match_files
from hypernet.text.names import find_below, find_name

COMPOSED, APART = "caf\u00e9.pt", "cafe\u0301.pt"


@pytest.mark.parametrize(
    ("wanted", "names", "found", "differs"),
    [
        ("ink.pt", ["ink.pt", "INK.pt"], "ink.pt", ""),
        (COMPOSED, [COMPOSED, APART], COMPOSED, ""),
        (APART, [COMPOSED, APART], APART, ""),
        (COMPOSED, [APART], APART, "accents"),
        (APART, ["CAFE.pt", COMPOSED], COMPOSED, "accents"),
        ("\u304c.pt", ["\u304b\u3099.pt"], "\u304b\u3099.pt", "accents"),
        ("\ud55c.pt", ["\u1112\u1161\u11ab.pt"], "\u1112\u1161\u11ab.pt", "accents"),
        ("styles\\ink.pt", ["styles/ink.pt", "ink.pt"], "styles/ink.pt", "slashes"),
        ("styles/ink.pt", ["styles\\ink.pt"], "styles\\ink.pt", "slashes"),
        ("a\\b.pt", ["a\\b.pt", "a/b.pt"], "a\\b.pt", ""),
        ("a\\caf\u00e9.pt", ["a/cafe\u0301.pt", "A/caf\u00e9.pt"], "a/cafe\u0301.pt", "slashes"),
        ("INK.PT", ["ink.pt"], "ink.pt", "capital"),
        ("CAF\u00c9.pt", [APART], APART, "capital"),
        ("stra\u00dfe.pt", ["STRASSE.pt"], "STRASSE.pt", "capital"),
        ("my ink.pt", ["my\u00a0ink.pt"], "my\u00a0ink.pt", "blanks"),
        ("my\u00a0ink.pt", ["my\u00a0ink.pt", "my ink.pt"], "my\u00a0ink.pt", ""),
        ("my ink", ["my ink ", "ink"], "my ink ", "blanks"),
        ("my ink ", ["my ink", "my ink "], "my ink ", ""),
        ("\u6c34 \u58a8.pt", ["\u6c34\u3000\u58a8.pt"], "\u6c34\u3000\u58a8.pt", "blanks"),
        ("\u202aink.pt", ["ink.pt"], "ink.pt", "invisible"),
        ("\U0001f58b.pt", ["\U0001f58b\ufe0f.pt"], "\U0001f58b\ufe0f.pt", "invisible"),
        ("\U0001f98a.pt", ["\U0001f98a.pt"], "\U0001f98a.pt", ""),
        ("\uff29\uff2e\uff2b.pt", ["ink.pt"], "ink.pt", "full-width"),
    ],
)
def test_a_name_is_found_by_its_smallest_difference_which_is_reported(
    wanted, names, found, differs
):
    match = find_name(wanted, names)
    assert match.name == found
    if differs:
        assert differs in match.note and f'"{wanted}"' in match.note and f'"{found}"' in match.note
    else:
        assert match.note == ""


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("Ink.pt", ["ink.pt", "INK.pt"]),
        ("my ink", ["my\u00a0ink", "my ink "]),
        ("A\\b.pt", ["a/B.pt", "a/b.pt"]),
        ("\u1e9b\u0323", ["\u1e9b\u0323".upper(), "\u1e61\u0323"]),
    ],
)
def test_two_names_that_fit_equally_are_refused_by_name(wanted, names):
    with pytest.raises(ValueError, match="may be any of") as fault:
        find_name(wanted, names)
    assert all(f'"{name}"' in str(fault.value) for name in names)


@pytest.mark.parametrize("wanted", ["", " ", "\u200b", "..", "inc.pt", "in k.pt", "ink", "/ink.pt"])
def test_another_name_is_not_found(wanted):
    assert find_name(wanted, ["ink.pt", " .pt", "a/ink.pt"]) is None


@pytest.mark.parametrize(
    ("name", "file", "exact"),
    [
        ("ink", "styles/ink.pt", True),
        ("ink.pt", "styles/ink.pt", True),
        ("Styles\\Ink", "styles/ink.pt", False),
        ("INK", "styles/ink.pt", False),
        ("caf\u00e9", "cafe\u0301.safetensors", False),
        ("my ink", "my\u00a0ink.pt", False),
        ("\u6c34\u58a8", "\u6c34\u58a8.hns", True),
    ],
)
def test_a_tag_is_matched_by_the_same_rule(name, file, exact):
    files = ["styles/ink.pt", "cafe\u0301.safetensors", "my\u00a0ink.pt", "\u6c34\u58a8.hns"]
    (match,) = match_files([Tag(name, 1.0, f"<hypernet:{name}>")], files)
    assert match.name == file and (match.note == "") == exact


def test_a_tag_that_fits_two_files_is_refused_with_both():
    tag = Tag("INK", 1.0, "<hypernet:INK>")
    with pytest.raises(ValueError, match='"<hypernet:INK>": several files.*"a/ink.pt".*"Ink.pt"'):
        find_files([tag], ["a/ink.pt", "Ink.pt"])
    assert find_name("b/ink", ["a/ink.pt", "b/ink.pt"], KNOWN_AS).name == "b/ink.pt"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("my pictures ", "my pictures "),
        ("my pictures", "my pictures "),
        ("my pictures/\u6c34\u3000\u58a8", "my pictures /\u6c34\u3000\u58a8"),
        ("MY PICTURES \\\u6c34 \u58a8", "my pictures /\u6c34\u3000\u58a8"),
        ("caf\u00e9/a.jpg", "cafe\u0301/a.jpg"),
        (".\\Cafe\u0301\\A.JPG", "cafe\u0301/a.jpg"),
        ("../outside", None),
        ("..\\outside", None),
        ("my pictures /../../outside", None),
        ("{top}/outside", None),
        ("\\\\host\\share", None),
        ("C:\\my pictures ", None),
        ("", None),
        ("nobody", None),
        ("x" * 300, None),
        ("a\0b", None),
    ],
)
def test_a_path_is_found_part_by_part_and_never_outside(tmp_path, wanted, found):
    home = tmp_path / "input"
    (home / "my pictures " / "\u6c34\u3000\u58a8").mkdir(parents=True)
    (home / "cafe\u0301").mkdir()
    (home / "cafe\u0301" / "a.jpg").touch()
    (tmp_path / "outside").mkdir()
    wanted = wanted.replace("{top}", str(tmp_path))
    match = find_below(home, wanted)
    assert (match and match.name) == found
    if match:
        assert bool(match.note) == (wanted != found)
