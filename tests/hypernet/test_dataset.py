"""Pictures and words from folders."""

import pytest
import torch
from PIL import Image

from hypernet.captions import caption_of, prompt_of, read_templates, template_at
from hypernet.dataset import find_pictures, open_picture, read_dataset, read_pixels, report
from hypernet.latents import all_prompts, lengthen


def picture(path, size=(40, 20), color="red", mode="RGB", **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **save)
    return path


def test_pictures_come_in_natural_order_also_from_folders_inside(tmp_path):
    for name in ("10.png", "2.png", "1.jpg", "b/3.webp"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [p.name for p in find_pictures(tmp_path)] == ["1.jpg", "2.png", "10.png", "3.webp"]
    assert len(find_pictures(tmp_path, recursive=False)) == 3


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_pictures(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no pictures"):
        find_pictures(tmp_path)


def test_unreadable_pictures_are_named_and_can_be_skipped(tmp_path):
    picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    whole = picture(tmp_path / "cut.png", size=(200, 200)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-30])
    with pytest.raises(ValueError, match=r'2 of the pictures.*"bad.png".*"cut.png"'):
        read_dataset(tmp_path, 64, 64)
    dataset = read_dataset(tmp_path, 64, 64, skip_unreadable=True)
    assert [item.path.name for item in dataset.items] == ["good.png"]
    assert 'Skipped "bad.png"' in report(dataset) and 'Skipped "cut.png"' in report(dataset)


def test_sizes_that_no_vae_can_take_are_refused(tmp_path):
    with pytest.raises(ValueError, match="100×64"):
        read_dataset(tmp_path, 100, 64)


def test_a_picture_is_covered_and_cropped_not_stretched(tmp_path):
    wide = Image.new("RGB", (400, 100), "white")
    wide.paste("black", (150, 0, 250, 100))  # the middle square
    wide.save(tmp_path / "wide.png")
    shown = open_picture(tmp_path / "wide.png", 64, 64)
    assert shown.crop((8, 8, 56, 56)).getextrema() == ((0, 0),) * 3


def test_transparency_becomes_white_and_orientation_is_obeyed(tmp_path):
    picture(tmp_path / "clear.png", mode="RGBA", color=(255, 0, 0, 0))
    assert open_picture(tmp_path / "clear.png", 8, 8).getpixel((4, 4)) == (255, 255, 255)
    turned = Image.new("RGB", (64, 32), "black")
    turned.paste("white", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    turned.save(tmp_path / "turned.png", exif=exif)
    shown = open_picture(tmp_path / "turned.png", 32, 64)
    assert shown.getpixel((16, 8)) == (255, 255, 255) and shown.getpixel((16, 56)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "I;16"])
def test_every_mode_of_pillow_gives_three_channels(tmp_path, mode):
    suffix = "tiff" if mode == "CMYK" else "png"
    picture(tmp_path / f"a.{suffix}", mode=mode, color=0)
    dataset = read_dataset(tmp_path, 16, 24)
    pixels = read_pixels(dataset.items[0], dataset)
    assert pixels.shape == (1, 24, 16, 3) and pixels.dtype == torch.float32


def test_a_caption_comes_from_the_first_source_that_has_one(tmp_path):
    path = picture(tmp_path / "003-red_fox.png")
    both, fixed = ("sidecar", "file name"), ("sidecar", "fixed text")
    assert caption_of(path, sources=both) == "red fox"
    assert caption_of(path, sources=fixed, fixed="a fox") == "a fox"
    path.with_suffix(".txt").write_text("\ufeffa fox,\n in snow \n", "utf-8")
    assert caption_of(path, sources=both) == "a fox, in snow"
    path.with_suffix(".txt").write_text(" \n", "utf-8")
    assert caption_of(path, sources=both) == "red fox", "an empty sidecar says nothing"
    path.with_suffix(".txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8"):
        caption_of(path, sources=both)


def test_templates_put_words_first_and_the_name_after(tmp_path):
    assert prompt_of("[filewords], art by [name]", "a [name] fox", "me") == "a me fox, art by me"
    assert read_templates("# mine\n\n a [filewords]\n[name]\n") == ("a [filewords]", "[name]")
    assert read_templates("\n") == ("[filewords]",)
    drawn = {template_at(("a", "b", "c"), 0, sample) for sample in range(50)}
    assert drawn == {"a", "b", "c"}


def test_all_prompts_are_each_asked_for_once(tmp_path):
    picture(tmp_path / "dog.png")
    picture(tmp_path / "1 dog.png")
    dataset = read_dataset(tmp_path, 64, 64)
    assert all_prompts(dataset, "x") == ["dog"]


def test_short_prompts_grow_by_their_last_part():
    tokens = torch.arange(4.0).view(4, 1)
    assert lengthen(tokens, 9, part=2).flatten().tolist() == [0, 1, 2, 3, 2, 3, 2, 3, 2]
