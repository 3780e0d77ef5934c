"""Browsing a folder: searching, reading only what changed, and a limited cache of thumbnails."""

import os

import pytest
from PIL import Image

from hypernet.dataset.album import Album, count_tags, find_pages
from hypernet.dataset.listing import Stamp
from hypernet.dataset.thumbnails import SIDE, make_room, thumbnail


@pytest.fixture
def folder(tmp_path):
    for name, words in (("a.png", "fox, red"), ("b.png", "Fox, snow"), ("c_d.png", None)):
        Image.new("RGB", (300, 150), "red").save(tmp_path / name)
        if words:
            (tmp_path / name).with_suffix(".txt").write_text(words)
    return tmp_path


def names(pages):
    return [page.name for page in pages]


def test_captions_come_from_the_sidecar_or_else_the_file_name(folder):
    pages = Album(folder).pages()
    assert [(page.words, page.written) for page in pages.values()] == [
        ("fox, red", True),
        ("Fox, snow", True),
        ("c d", False),
    ]


def test_pictures_are_found_by_text_and_by_tag(folder):
    pages = Album(folder).pages()
    assert names(find_pages(pages, "FOX")) == ["a.png", "b.png"]
    assert names(find_pages(pages, "fox red")) == ["a.png"]
    assert names(find_pages(pages, "c_d")) == ["c_d.png"]
    assert names(find_pages(pages, tag="fox")) == ["a.png"]
    assert names(find_pages(pages, "snow", tag="fox")) == []


def test_the_search_uses_edited_captions(folder):
    pages = Album(folder).pages()
    edits = {"b.png": "fox, ice"}
    assert names(find_pages(pages, tag="fox", edits=edits)) == ["a.png", "b.png"]
    assert count_tags(pages, edits) == [("fox", 2), ("c d", 1), ("ice", 1), ("red", 1)]


def test_only_changed_files_are_read_again(folder):
    album = Album(folder)
    before = album.pages()
    (folder / "b.txt").write_text("ice and snow")
    (folder / "c_d.txt").write_text("now with words")
    assert album.pages()["b.png"].words == "Fox, snow"  # the listing from a moment ago still counts
    after = album.pages(anew=True)
    assert after["a.png"] is before["a.png"]
    assert after["b.png"].words == "ice and snow" and after["c_d.png"].written


def test_a_caption_that_cannot_be_read_says_why(folder):
    (folder / "a.txt").write_bytes(b"x" * 300_000)
    page = Album(folder).pages()["a.png"]
    assert "300000 bytes" in page.fault and page.words == "a"


def test_a_thumbnail_is_small_upright_and_made_once(folder, tmp_path):
    turned = folder / "turned.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (2000, 1000)).save(turned, exif=exif)
    stamp = Stamp(1, 2)
    small = thumbnail(turned, stamp, tmp_path / "cache")
    with Image.open(small) as picture:
        assert picture.size == (SIDE // 2, SIDE)
    first = small.stat().st_mtime_ns
    assert thumbnail(turned, stamp, tmp_path / "cache").stat().st_mtime_ns == first
    assert thumbnail(turned, Stamp(3, 2), tmp_path / "cache") != small


def test_a_damaged_picture_has_no_thumbnail_and_leaves_no_files(folder, tmp_path):
    (folder / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="cannot be read"):
        thumbnail(folder / "bad.png", Stamp(1, 2), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_oldest_thumbnails_make_room(tmp_path):
    for number in range(8):
        file = tmp_path / f"{number}.jpg"
        file.write_bytes(b"x" * 100)
        os.utime(file, (number, number))
    make_room(tmp_path, 800)
    assert len(list(tmp_path.iterdir())) == 8
    make_room(tmp_path, 799)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{n}.jpg" for n in range(3, 8)]
