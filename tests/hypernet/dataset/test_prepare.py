"""Preparing: one list of cuts, from which pictures, sheets and folders are made."""

import errno
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hypernet.dataset.contact_sheet import contact_sheet
from hypernet.dataset.in_words import report
from hypernet.dataset.items import read_pixels
from hypernet.dataset.prepare import Preparation, prepare
from hypernet.dataset.prepared_folder import save_prepared
from hypernet.dataset.reading import read_dataset
from hypernet.pictures.crop import Cut


def picture(path, size, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size).save(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    picture(folder / "square.png", (100, 100))
    picture(folder / "wide.jpg", (150, 100), 1)
    picture(folder / "2_comic" / "tall.png", (60, 300), 2)
    (folder / "wide.txt").write_text("a wide fox", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, {"square": (64, 64), "wide": (64, 64), "tall": (64, 64)}),
        ({"size": "fit"}, {"square": (64, 64), "wide": (64, 40), "tall": (8, 64)}),
        ({"size": "own size"}, {"square": (96, 96), "wide": (144, 96), "tall": (56, 296)}),
        (
            {"size": "buckets", "bucket_step": 16},
            {"square": (64, 64), "wide": (80, 48), "tall": (48, 80)},
        ),
        (
            {"size": "auto size", "auto_least": 64, "auto_most": 128, "auto_side": 128},
            {"square": (128, 128), "wide": (64, 64), "tall": (64, 64)},
        ),
    ],
    ids=lambda value: value.get("size", "one size") if "size" in value else None,
)
def test_pictures_are_scaled_to_their_training_sizes(folder, options, sizes):
    dataset = prepare(read_dataset(folder, 64, 64), Preparation(**options))
    found = {item.path.stem: size for item, size in zip(dataset.items, dataset.sizes, strict=True)}
    assert found == sizes
    for item, (width, height) in zip(dataset.items, dataset.sizes, strict=True):
        assert read_pixels(item, dataset).shape == (1, height, width, 3)


def test_an_unprepared_picture_equals_one_prepared_to_one_size(folder):
    plain = read_dataset(folder, 64, 64)
    assert plain.items
    for a, b in zip(plain.items, prepare(plain, Preparation()).items, strict=True):
        assert read_pixels(a, plain).equal(read_pixels(b, plain))


def test_an_oversized_picture_becomes_several_and_every_one_gets_a_mirror(folder):
    options = Preparation(split_oversized=True, flip_copies=True)
    dataset = prepare(read_dataset(folder, 64, 64), options)
    tall = [item for item in dataset.items if item.path.stem == "tall"]
    assert len(tall) == 12 and len(dataset.items) == 16
    assert len(dataset.shown) == 4 + 2 * 12, "parts are repeated as their file is"
    assert "1 oversized pictures are split into 6." in report(dataset)
    assert "With parts and mirrored copies they make 16." in report(dataset)
    one, mirror = tall[0], tall[6]
    assert read_pixels(one, dataset).equal(read_pixels(mirror, dataset).flip(2))


def test_preparing_again_replaces_what_was_prepared(folder):
    plain = read_dataset(folder, 64, 64)
    once = prepare(plain, Preparation(split_oversized=True, flip_copies=True))
    assert prepare(once, Preparation()).items == prepare(plain, Preparation()).items


def test_a_focal_crop_follows_the_content(tmp_path):
    wide = Image.new("RGB", (300, 100), "white")
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    wide.paste(Image.fromarray(noise), (210, 10))
    wide.save(tmp_path / "wide.png")
    picture(tmp_path / "square.png", (100, 100))
    told = []
    dataset = prepare(
        read_dataset(tmp_path, 64, 64),
        Preparation(crop="focal point", faces=0),
        each=lambda done, total: told.append((done, total)),
    )
    (box,) = (item.cut.box for item in dataset.items if item.path.stem == "wide")
    assert box[0] > 150 and told == [(1, 1)], "a square one needs no look"


def test_an_unreadable_picture_is_refused_or_skipped_by_name(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "rotten.png")
    written = bytearray((tmp_path / "rotten.png").read_bytes())
    written[60:9000] = bytes(8940)
    (tmp_path / "rotten.png").write_bytes(written)
    picture(tmp_path / "good.png", (128, 64))
    focal = Preparation(crop="focal point", faces=0)
    with pytest.raises(ValueError, match=r"rotten\.png"):
        prepare(read_dataset(tmp_path, 64, 64), focal)
    dataset = prepare(read_dataset(tmp_path, 64, 64, skip_unreadable=True), focal)
    assert [item.path.name for item in dataset.items] == ["good.png"]
    assert dataset.unreadable[0][0] == "rotten.png"
    contact_sheet(read_dataset(tmp_path, 64, 64))


def test_a_shape_far_from_every_auto_size_is_named(folder):
    dataset = prepare(read_dataset(folder, 64, 64), Preparation(size="auto size"))
    assert "1 are of a shape that no auto size comes near" in report(dataset)
    assert '"tall.png"' in report(dataset)


def test_every_fault_of_the_options_is_in_one_message():
    with pytest.raises(ValueError) as caught:
        Preparation(size="huge", crop="left", split_overlap=2, bucket_step=60, auto_least=1024)
    for words in (
        'size "huge"',
        'crop "left"',
        "split_overlap 2",
        "bucket_step 60",
        "auto_least 1024",
    ):
        assert words in str(caught.value)


# --- the contact sheet ---------------------------------------------------------------------------


def test_a_contact_sheet_shows_every_cut_and_is_bounded(folder):
    dataset = prepare(read_dataset(folder, 64, 64), Preparation(flip_copies=True))
    sheet = contact_sheet(dataset)
    assert sheet.ndim == 4 and sheet.shape[-1] == 3 and 0 <= sheet.min() and sheet.max() <= 1
    assert contact_sheet(dataset, most=2).numel() < sheet.numel()
    many = replace(dataset, items=dataset.items * 200)
    assert max(contact_sheet(many, most=10_000).shape) < 4000
    assert contact_sheet(dataset, most=0).shape[1] < 100, "a sentence"


# --- saving --------------------------------------------------------------------------------------


def test_a_prepared_folder_reads_back_as_what_was_prepared(folder, tmp_path):
    dataset = prepare(
        read_dataset(folder, 64, 64), Preparation(split_oversized=True, flip_copies=True)
    )
    saved = save_prepared(dataset, tmp_path / "output" / "prepared")
    again = read_dataset(saved, 64, 64)
    assert len(again.items) == len(dataset.items) and len(again.shown) == len(dataset.shown)
    assert {(item.width, item.height) for item in again.items} == {(64, 64)}
    by_name = {item.path.name: item for item in again.items}
    assert by_name["wide.png"].caption == by_name["wide-mirrored.png"].caption == "a wide fox"
    assert sorted(by_name)[:3] == ["square-mirrored.png", "square.png", "tall-2.png"]
    pixels = read_pixels(by_name["tall.png"], again)
    top = Cut(box=(0, 0, 60, 60), width=64, height=64)
    (original,) = (item for item in dataset.items if item.cut == top)
    assert pixels.equal(read_pixels(original, dataset))
    assert not [path for path in saved.parent.iterdir() if path != saved], "nothing is left over"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_pictures_with_the_same_stem_get_different_names(tmp_path, suffix):
    for name in ("fox.png", "fox.jpg", "Fox.webp", "fox.v2.png", "a_mask.png"):
        picture(tmp_path / "in" / name, (64, 64))
    saved = save_prepared(read_dataset(tmp_path / "in", 64, 64), tmp_path / "out", suffix)
    assert len(list(saved.glob(f"*.{suffix}"))) == 5
    assert len(read_dataset(saved, 64, 64).items) == 5


def test_masks_are_saved_beside_their_pictures(tmp_path):
    picture(tmp_path / "in" / "fox.png", (128, 64))
    mask = Image.new("L", (128, 64), 0)
    mask.paste(255, (0, 0, 64, 64))
    mask.save(tmp_path / "in" / "fox_mask.png")
    dataset = prepare(read_dataset(tmp_path / "in", 64, 64), Preparation(loss_mask="mask file"))
    saved = save_prepared(dataset, tmp_path / "out")
    assert sorted(path.name for path in saved.iterdir()) == ["fox.png", "fox.txt", "fox_mask.png"]
    with Image.open(saved / "fox_mask.png") as cut:
        assert cut.size == (64, 64) and cut.getpixel((0, 0)) == 255 and cut.getpixel((63, 0)) == 0


def test_nothing_is_overwritten_and_nothing_is_left_half_written(folder, tmp_path):
    dataset = read_dataset(folder, 64, 64)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for there in (folder, tmp_path / "empty"):
        there.mkdir(exist_ok=True)
        with pytest.raises(FileExistsError, match=there.name):
            save_prepared(dataset, there)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_prepared(dataset, tmp_path / "out", each=stop)
    (folder / "square.png").write_bytes(b"words")
    with pytest.raises(ValueError, match=r"square\.png"):
        save_prepared(dataset, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "pictures"]
    del before[folder / "square.png"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
def test_a_full_disk_is_reported_with_numbers_and_nothing_is_left(
    folder, tmp_path, monkeypatch, full
):
    dataset, save, saved = read_dataset(folder, 64, 64), Image.Image.save, []

    def filling(self, file, *args, **options):
        if len(saved) == 2:
            raise OSError(full, "No space left on device")
        saved.append(file)
        save(self, file, *args, **options)

    monkeypatch.setattr(Image.Image, "save", filling)
    with pytest.raises(OSError, match=r'no room for ".*out".*after 2 of 3 pictures'):
        save_prepared(dataset, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures"]
