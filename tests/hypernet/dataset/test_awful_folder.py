"""A folder of deliberately awful files: each is named with its reason, none is a traceback."""

import os
import shutil
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hypernet.dataset import items as dataset_module
from hypernet.dataset.in_words import report
from hypernet.dataset.items import read_pixels
from hypernet.dataset.listing import list_folder
from hypernet.dataset.reading import name_in, read_dataset
from hypernet.text import lists_of_names

GOOD = ["good.png", "赤い狐.png", "лиса.jpg", "ثعلب.webp", "🦊 fox's “den”.png", "one pixel.png"]


def claiming(width, height):
    """A PNG whose header only claims its size; making a real one would take seconds."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind, data, spoilt=False):
    crc = zlib.crc32(kind + data) ^ spoilt
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


@pytest.fixture(scope="module")
def awful(tmp_path_factory):
    return write_awful(tmp_path_factory.mktemp("pictures") / "awful")


def write_awful(folder):
    (folder / "inside").mkdir(parents=True)
    for name in GOOD:
        Image.new("RGB", (1, 1) if "pixel" in name else (90, 60), "red").save(folder / name)
    Image.new("1", (30_000, 30)).save(folder / "long.png")
    (folder / "huge.png").write_bytes(claiming(30_000, 30_000))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("a list of things to do")
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-300])
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    (folder / "inside" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "inside" / "self").symlink_to(folder / "inside" / "self")
    (folder / "lonely.txt").write_text("a caption without a picture")
    (folder / "good.txt").write_bytes("une renarde à l'été".encode("cp1252"))
    (folder / "a directory.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "10²_x.txt").write_text("a digit that is no number")
    return folder


def write_strange(folder):
    """Other files that people have in such a folder; most of them were once ignored silently."""
    jpeg = (folder / "лиса.jpg").read_bytes()
    png = (folder / "赤い狐.png").read_bytes()
    texts = {
        "metadata.jsonl": '{"file_name": "table.jpg", "text": "a fox of the table"}\n'
        '{"file_name": "good.png", "text": "another"}\n{"file_name": "gone.png", "text": "gone"}',
        "IMG_1.TXT": "in capitals",
        "two.txt": "the first",
        "two.caption": "the second",
        "filled.txt": "",
        "filled.caption": "filled",
        "chinese.txt": "雪中的狐狸，站着".encode("gbk"),
        "polish.txt": "żółty lis".encode("cp1250"),
        "russian.txt": "рыжая лиса".encode("cp1251"),
        "table.json": "{}",
        "notes.md": "a list of things to do",
        "video.mp4": b"?",
        "pictures.zip": b"PK",
        "phone.heic": b"?",
        "camera.cr2": b"?",
        "layers.psd": b"?",
        "Thumbs.db": b"?",
    }
    names = ["table.jpg", "IMG_1.JPG", "two.jpg", "filled.jpg", "chinese.jpg", "polish.jpg"]
    names += [
        "russian.jpg",
        "saved.jfif",
        "saved.jpg_large",
        "20230512_trip/a.jpg",
        "10_style/b.jpg",
    ]
    names += ["0_off/c.jpg", "two-masklabel.jpg", "masks/two.jpg", "masks/lost.jpg"]
    names += ["conditioning_data_dir/two.jpg", "carnival_mask.jpg", "@eaDir/two.jpg/THUMB_M.jpg"]
    spoilt = chunk(b"eXIf", b"garbage") + chunk(b"tEXt", b"a\0b", spoilt=True)
    texts["spoilt.png"] = png[:33] + spoilt + png[33:]
    for name, content in [*texts.items(), *((name, jpeg) for name in names)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    return write_strange(write_awful(tmp_path_factory.mktemp("pictures") / "strange"))


BAD = {
    "empty.png": "the file is empty",
    "text.png": "no picture by its content",
    "cut.jpg": "truncated",
    "huge.png": "more than 89 million pixels",
    "nowhere.png": "a link that leads nowhere",
    "itself.png": "symbolic links",
    "inside/self": "symbolic links",
    "pipe.png": "no ordinary file",
}


def test_every_bad_file_is_named_with_its_reason(awful):
    with pytest.raises(ValueError, match=f"{len(BAD)} of the pictures cannot be read"):
        read_dataset(awful, 64, 64)
    dataset = read_dataset(awful, 64, 64, skip_unreadable=True)
    assert {item.path.name for item in dataset.items} == {*GOOD, "long.png"}
    reasons = dict(dataset.unreadable)
    assert set(reasons) == set(BAD)
    for name, words in BAD.items():
        assert words in reasons[name]
        assert f'Skipped "{name}": ' in report(dataset)


def test_the_report_names_link_loops_and_captions_without_pictures(awful):
    text = report(read_dataset(awful, 64, 64, skip_unreadable=True))
    print(text)  # to be read with pytest -rP
    assert '"inside/loop" is a link to a folder that is read already.' in text
    assert '"10²_x.txt", "lonely.txt"' in text
    assert "Sizes: 1×1 to 30000×30." in text


def test_pictures_of_a_strange_folder_get_their_own_captions(strange):
    dataset = read_dataset(strange, 64, 64, skip_unreadable=True)
    words = {name_in(strange, item.path): item.caption for item in dataset.items}
    strangers = {
        "table.jpg": "a fox of the table",
        "IMG_1.JPG": "in capitals",
        "two.jpg": "the first",
        "filled.jpg": "filled",
        "chinese.jpg": "雪中的狐狸, 站着",
        "polish.jpg": "polish",
        "russian.jpg": "рыжая лиса",
        "saved.jfif": "saved",
        "saved.jpg_large": "saved",
        "20230512_trip/a.jpg": "a",
        "10_style/b.jpg": "b",
        "carnival_mask.jpg": "carnival mask",
        "spoilt.png": "spoilt",
    }
    assert strangers.items() <= words.items()
    assert words.keys() == strangers.keys() | set(GOOD) | {"long.png"}
    assert len(dataset.shown) == len(words) + 9
    (two,) = (item for item in dataset.items if item.path.name == "two.jpg")
    assert name_in(strange, two.mask) == "two-masklabel.jpg"


def test_the_report_of_a_strange_folder_names_everything_unused(strange):
    dataset = read_dataset(strange, 64, 64, skip_unreadable=True)
    text = report(dataset)
    print(text)  # to be read with pytest -rP
    used = {
        name_in(strange, path) for item in dataset.items for path in (item.path, item.mask) if path
    }
    used |= {
        f"{name.rpartition('.')[0]}.{end}" for name in used for end in ("txt", "TXT", "caption")
    }
    hidden = {"Thumbs.db", "@eaDir/two.jpg/THUMB_M.jpg"}
    files = [file for file in strange.rglob("*") if file.is_file() or file.is_symlink()]
    unused = {name_in(strange, file) for file in files} - used - hidden
    assert unused
    for name in unused:
        assert f'"{name}"' in text
    for name in hidden:
        assert name not in text
    for word in ("GBK", "Windows-1251", '"10_style" 10 times', "two.caption", "filled.txt"):
        assert word in text
    assert len(text.splitlines()) < 45


def test_every_good_picture_gives_pixels(awful):
    dataset = read_dataset(awful, 64, 32, skip_unreadable=True)
    assert dataset.items
    for item in dataset.items:
        assert read_pixels(item, dataset).shape == (1, 32, 64, 3)


def test_captions_in_any_encoding_and_script_are_read(awful):
    words = {
        item.path.name: item.caption
        for item in read_dataset(awful, 64, 64, skip_unreadable=True).items
    }
    assert words["good.png"] == "une renarde à l'été"
    assert words["赤い狐.png"] == "赤い狐" and words["🦊 fox's “den”.png"] == "🦊 fox's “den”"


def test_a_file_whose_name_is_no_text_is_reported_and_not_read(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    try:
        shutil.copy(tmp_path / "a.png", os.fsencode(tmp_path) + b"/b\xff.png")
    except OSError:
        pytest.skip("this file system has only names that are text")
    dataset = read_dataset(tmp_path, 64, 64, skip_unreadable=True)
    assert [item.path.name for item in dataset.items] == ["a.png"]
    assert dataset.unreadable[0][0] == "b?.png" and "rename it" in dataset.unreadable[0][1]
    report(dataset).encode()


def test_a_folder_that_vanishes_half_way_is_named(tmp_path):
    for name in ("a.png", "inside/b.png", "inside/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)

    def vanish(done, total):
        shutil.rmtree(tmp_path / "inside", ignore_errors=True)

    with pytest.raises(ValueError, match=r'"inside/b.png" \(No such file'):
        read_dataset(tmp_path, 64, 64, each=vanish)
    dataset = read_dataset(tmp_path, 64, 64)
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r'a\.png" cannot be read: No such file'):
        read_pixels(dataset.items[0], dataset)
    tmp_path.rmdir()
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        read_dataset(tmp_path, 64, 64)


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("my_picture", ' Nearest: "my_pictures".'),
        ("my_picture/ink", ' Nearest: "my_pictures".'),
        ("my_pictures/inc", ' Nearest: "ink".'),
        ("zzzzzzzz", ""),
    ],
)
def test_a_misspelt_folder_is_told_the_nearest_but_not_every_other(tmp_path, typed, near):
    for name in ("my_pictures/ink", "holiday"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "my_picture.png").write_bytes(b"")
    with pytest.raises(FileNotFoundError) as raised:
        list_folder(tmp_path / typed)
    assert str(raised.value).endswith(f"the full path of one.{near}")


def test_a_forbidden_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who may do anything
    with pytest.raises(ValueError, match=r'"closed" \(Permission denied\)'):
        read_dataset(tmp_path, 64, 64)
    assert list_folder(tmp_path).faults == (("closed", "Permission denied"),)


def test_a_folder_without_pictures_says_what_it_has_instead(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(ValueError, match='holds no pictures.*"a.png": a link that leads nowhere'):
        read_dataset(tmp_path, 64, 64)


def test_only_bad_pictures_are_refused_even_when_they_may_be_skipped(tmp_path):
    (tmp_path / "text.png").write_text("words")
    with pytest.raises(ValueError, match=r"1 of the pictures.*text\.png"):
        read_dataset(tmp_path, 64, 64, skip_unreadable=True)


def test_more_bad_files_than_fit_are_counted(tmp_path):
    for number in range(lists_of_names.NAMED + 3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r'"9\.png" \(the file is empty\) and 3 more'):
        read_dataset(tmp_path, 64, 64)


def test_of_many_skipped_files_the_first_are_named_and_the_others_counted(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for number in range(dataset_module.SKIPPED + 3):
        (tmp_path / f"b{number}.png").write_bytes(b"")
    text = report(read_dataset(tmp_path, 64, 64, skip_unreadable=True))
    assert text.count("Skipped") == dataset_module.SKIPPED
    assert text.endswith("And 3 more were skipped.")


def test_a_socket_is_not_taken_for_a_picture(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(tmp_path / "s.png"))
        except OSError:
            pytest.skip("this path is too long for a socket")
        assert list_folder(tmp_path).pictures == ["a.png"]
