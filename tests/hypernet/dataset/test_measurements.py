"""Measurements are cached, and used only for the file that they were made from."""

import json
import os

import pytest
from PIL import Image

from hypernet.dataset import reading as dataset_module
from hypernet.dataset.measurements import cache_file, read_measurements
from hypernet.dataset.reading import read_dataset


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, size in (("a.png", (40, 20)), ("b.jpg", (30, 30))):
        Image.new("RGB", size).save(folder / name)
    return folder


@pytest.fixture
def measured(monkeypatch):
    """The names of the files that were opened to be measured, in order."""
    names, real = [], dataset_module.picture_size

    def count(path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(dataset_module, "picture_size", count)
    return names


def test_measured_pictures_are_not_opened_again(tmp_path, folder, measured):
    first = read_dataset(folder, 64, 64, cache=tmp_path / "cache")
    assert read_dataset(folder, 64, 64, cache=tmp_path / "cache") == first
    assert measured == ["a.png", "b.jpg"]


def test_a_changed_file_is_measured_again_and_a_lost_one_forgotten(tmp_path, folder, measured):
    cache = tmp_path / "cache"
    read_dataset(folder, 64, 64, cache=cache)
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    os.utime(folder / "b.jpg", ns=(1, 1))
    assert [i.width for i in read_dataset(folder, 64, 64, cache=cache).items] == [9, 30]
    assert measured == ["a.png", "b.jpg"] * 2
    (folder / "b.jpg").unlink()
    read_dataset(folder, 64, 64, cache=cache)
    assert list(read_measurements(cache_file(cache, folder))) == ["a.png"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content.replace(b"40, 20", b"20, 40"),
        lambda content: b"\x00\xff" * 99,
        lambda content: json.dumps({"version": 1, "files": 3}).encode(),
    ],
)
def test_a_damaged_cache_costs_only_time(tmp_path, folder, damage):
    cache = tmp_path / "cache"
    read_dataset(folder, 64, 64, cache=cache)
    file = cache_file(cache, folder)
    assert b"40, 20" in file.read_bytes()
    file.write_bytes(damage(file.read_bytes()))
    assert read_measurements(file) == {}
    assert [i.width for i in read_dataset(folder, 64, 64, cache=cache).items] == [40, 30]
    assert len(read_measurements(file)) == 2


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, folder):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(read_dataset(folder, 64, 64, cache=tmp_path / "cache").items) == 2


def test_unreadable_files_are_tried_again_every_time(tmp_path, folder):
    (folder / "c.png").write_bytes(b"words")
    for _ in range(2):
        dataset = read_dataset(folder, 64, 64, skip_unreadable=True, cache=tmp_path / "cache")
        assert dataset.unreadable == (("c.png", "no picture by its content"),)


def test_an_interrupt_keeps_what_was_measured(tmp_path, folder, measured):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_dataset(folder, 64, 64, cache=tmp_path / "cache", each=stop)
    read_dataset(folder, 64, 64, cache=tmp_path / "cache")
    assert measured == ["a.png", "b.jpg"]
