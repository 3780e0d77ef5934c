"""Where captions come from, how they combine with old ones, and that none is ever lost."""

import codecs
import os
import sys

import pytest
from PIL import Image

from hypernet.captions.sources import (
    CaptionRules,
    NameWords,
    caption_of,
    combine,
    decode,
    one_line,
    read_sources,
    write_sidecar,
)
from hypernet.captions.tags import TagEdits


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_captions_are_read_in_every_encoding_of_unicode(encoding):
    assert decode("a naïve fox, 赤い狐".encode(encoding)) == "a naïve fox, 赤い狐"


def test_captions_in_old_latin_encodings_are_read_too():
    assert decode("a naïve fox, “red”".encode("cp1252")) == "a naïve fox, “red”"
    assert decode("a naïve fox".encode("latin-1")) == "a naïve fox"


def test_a_caption_comes_from_the_first_source_that_has_one(tmp_path):
    path = picture(tmp_path / "003-red_fox.png")
    both, fixed = ("sidecar", "file name"), ("sidecar", "fixed text")
    assert caption_of(path, sources=both) == "red fox"
    assert caption_of(path, sources=fixed, fixed="a fox") == "a fox"
    assert caption_of(path, sources=("tagger", "sidecar"), tagged="1girl") == "1girl"
    path.with_suffix(".txt").write_text("\ufeffa fox,\n in snow \n", "utf-8")
    assert caption_of(path, sources=both) == "a fox, in snow"
    path.with_suffix(".txt").write_text(" \n", "utf-8")
    assert caption_of(path, sources=both) == "red fox", "an empty sidecar says nothing"
    path.with_suffix(".txt").unlink()
    path.with_suffix(".caption").write_text("a caption", "utf-8")
    assert caption_of(path, sources=both) == "a caption"


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("0012-3 red fox", NameWords(), "red fox"),
        ("12", NameWords(), ""),
        ("red_fox__2", NameWords(), "red fox  2"),
        ("00012-0-Red Fox_7", NameWords(pattern="[A-Za-z]+"), "Red Fox"),
        ("7 a-b-c", NameWords(pattern="[a-z]", joint=", "), "a, b, c"),
        ("k=1 m=2", NameWords(pattern=r"(\w)=(\d)"), "k1 m2"),
        ("fox", NameWords(pattern="x*$"), "x "),
    ],
)
def test_file_names_become_words_as_in_a1111(tmp_path, name, rule, words):
    assert rule(tmp_path / f"{name}.png") == words.strip()


def test_an_invalid_pattern_is_quoted():
    with pytest.raises(ValueError, match=r'pattern "\[a-z"'):
        NameWords(pattern="[a-z")


def test_a_kohya_folder_name_gives_the_caption(tmp_path):
    path = picture(tmp_path / "10_red_fox" / "1.png")
    assert caption_of(path, sources=("sidecar", "file name", "folder name")) == "red fox"


def test_sources_are_given_in_any_order_and_misspelt_ones_are_named():
    assert read_sources("Tagger, file  name") == ("tagger", "file name")
    for text in ("side car, tagger", " , "):
        with pytest.raises(ValueError, match=f'sources "{text}".*sidecar, file name'):
            read_sources(text)


@pytest.mark.parametrize(
    ("action", "new", "old", "result"),
    [
        ("ignore", "a, b", "c", "a, b"),
        ("ignore", "", "c", ""),
        ("keep", "a", "c", "c"),
        ("keep", "a", "", "a"),
        ("replace", "a", "c", "a"),
        ("replace", "", "c", "c"),
        ("prepend", "a, b", "c", "c, a, b"),
        ("append", "a, b", "c", "a, b, c"),
        ("append", "", "c", "c"),
        ("append", "a, b", "b, c", "a, b, c"),
        ("append", "cathedral", "cat", "cathedral, cat"),
    ],
)
def test_an_existing_caption_is_treated_as_asked(action, new, old, result):
    assert combine(new, old, action) == result


@pytest.mark.parametrize("action", ["keep", "replace", "prepend", "append"])
@pytest.mark.parametrize("joint", [", ", " "])
def test_combining_again_changes_nothing(action, joint):
    once = combine("a red fox, snow", "1girl, snow", action, joint)
    assert combine("a red fox, snow", once, action, joint) == once


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\0b\x07\r\n\tc", "a b c"),
        ("\ufefffox", "fox"),
        ("half \udc80 a letter", "half a letter"),
        ("ends\u2028here", "ends here"),
        ("👩‍🎨 paints 赤い", "👩‍🎨 paints 赤い"),
        ("[filewords] <lora:x:1> ${7*7} %s {", "[filewords] <lora:x:1> ${7*7} %s {"),
    ],
)
def test_a_caption_is_one_line_of_valid_characters_and_otherwise_unchanged(text, line):
    assert one_line(text) == line
    assert one_line(text).encode("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep such names out")
def test_a_file_name_in_an_unknown_encoding_gives_words(tmp_path):
    path = os.fsencode(tmp_path) + b"/na\xefve fox.png"
    with open(path, "wb") as file:
        file.write(b"")
    (found,) = tmp_path.iterdir()
    assert caption_of(found, sources=("file name",)) == "na ve fox"


def test_a_sidecar_that_cannot_be_read_is_named(tmp_path):
    path = picture(tmp_path / "fox.png")
    path.with_suffix(".txt").write_bytes(b"word " * 60_000)
    with pytest.raises(ValueError, match=r"fox\.txt.*300000 bytes"):
        caption_of(path, sources=("sidecar",))
    path.with_suffix(".txt").unlink()
    path.with_suffix(".txt").mkdir()
    assert caption_of(path, sources=("sidecar",)) == ""


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"\xff\xfea", bytes(range(256)), b"\0" * 9])
def test_any_bytes_give_a_caption_or_none_and_never_an_error(tmp_path, junk):
    path = picture(tmp_path / "fox.png")
    path.with_suffix(".txt").write_bytes(junk)
    caption_of(path, sources=("sidecar",)).encode("utf-8")


def test_writing_a_sidecar_keeps_a_copy_of_the_old_one(tmp_path):
    path = picture(tmp_path / "fox.png")
    assert write_sidecar(path, "a fox") == tmp_path / "fox.txt"
    assert write_sidecar(path, "a fox") is None, "it says so already"
    old = codecs.BOM_UTF16_LE + "ein Fuchs".encode("utf-16-le")
    (tmp_path / "fox.txt").write_bytes(old)
    for text in ("a red fox", "a blue fox", "a red fox"):
        write_sidecar(path, text)
    assert caption_of(path, sources=("sidecar",)) == "a red fox"
    kept = {file.name: file.read_bytes() for file in tmp_path.glob("*.bak*")}
    assert kept["fox.txt.bak"] == old, "byte by byte"
    assert kept == {
        "fox.txt.bak": old,
        "fox.txt.bak2": b"a red fox\n",
        "fox.txt.bak3": b"a blue fox\n",
    }


def test_writing_a_txt_leaves_a_caption_file_alone(tmp_path):
    path = picture(tmp_path / "fox.png")
    (tmp_path / "fox.caption").write_text("by hand")
    write_sidecar(path, "a fox")
    assert (tmp_path / "fox.caption").read_text() == "by hand"
    assert caption_of(path, sources=("sidecar",)) == "a fox"


@pytest.mark.parametrize(
    ("rules", "existing", "asked", "caption"),
    [
        ({"sources": ("tagger",)}, "old", True, "1girl, hat"),
        ({"sources": ("tagger",), "existing": "keep"}, "old", False, "old"),
        ({"sources": ("tagger",), "existing": "keep"}, "", True, "1girl, hat"),
        ({"sources": ("file name", "tagger")}, "", False, "red fox"),
        ({"sources": ("sidecar", "tagger"), "trigger": "sks"}, "", True, "sks, 1girl, hat"),
        (
            {"sources": ("tagger",), "existing": "append", "edits": TagEdits(block=("hat", "fox"))},
            "a cat, fox",
            True,
            "1girl, a cat",
        ),
    ],
)
def test_a_tagger_is_used_only_where_it_matters(tmp_path, rules, existing, asked, caption):
    path = picture(tmp_path / "1 red_fox.png")
    made = CaptionRules(**rules)
    assert made.wants_tagger(path, existing) == asked
    assert made.caption(path, existing, "1girl, hat") == caption


def test_an_unknown_way_to_treat_captions_is_quoted():
    with pytest.raises(ValueError, match='"burn"'):
        CaptionRules(existing="burn")


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_lost(tmp_path):
    path = picture(tmp_path / "fox.png")
    (tmp_path / "fox.txt").mkdir()  # blocks the superuser too
    with pytest.raises(ValueError, match=r"fox\.txt.*cannot be written"):
        write_sidecar(path, "a fox")
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
