"""Pictures and words from folders."""

import pytest
import torch
from PIL import Image

from hypernet.captions.tags import TagEdits, edit_caption, read_list, split_tags
from hypernet.dataset.in_words import report
from hypernet.dataset.items import read_pixels
from hypernet.dataset.listing import find_pictures
from hypernet.dataset.reading import read_dataset
from hypernet.training.batches import Examples, all_prompts, lengthen


def picture(path, size=(40, 20), color="red", mode="RGB", **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **save)
    return path


def test_pictures_come_in_natural_order_from_subfolders_too(tmp_path):
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


def test_sizes_that_are_no_multiple_of_8_are_refused(tmp_path):
    with pytest.raises(ValueError, match="100×64"):
        read_dataset(tmp_path, 100, 64)


def test_a_picture_is_covered_and_cropped_not_stretched(tmp_path):
    wide = Image.new("RGB", (400, 100), "white")
    wide.paste("black", (150, 0, 250, 100))  # the middle square
    wide.save(tmp_path / "wide.png")
    dataset = read_dataset(tmp_path, 64, 64)
    pixels = read_pixels(dataset.items[0], dataset)
    assert pixels.shape == (1, 64, 64, 3) and pixels.dtype == torch.float32
    assert pixels[0, 8:-8, 8:-8].max() == 0


def test_a_kohya_folder_repeats_its_pictures_as_often_as_its_name_says(tmp_path):
    for name in ("a.png", "3_fox/b.png", "3_fox/2_red/c.png", "0_never/d.png", "x3_y/e.png"):
        picture(tmp_path / name)
    dataset = read_dataset(tmp_path, 64, 64)
    repeats = {item.path.stem: item.repeats for item in dataset.items}
    assert repeats == {"a": 1, "b": 3, "c": 2, "e": 1}
    assert "a pass shows 7" in report(dataset)
    latents = [{"mean": torch.full((1, 1, 1), float(place))} for place in range(4)]
    conditions = {text: {"c_crossattn": torch.zeros(1, 1)} for text in all_prompts(dataset, "n")}
    examples = Examples(
        dataset=dataset, name="n", seed=0, latents=latents, conditions=conditions
    )  # fmt: skip
    shown = examples.batch_at(0, 7)[0].flatten().tolist()
    assert sorted(shown) == sorted(float(place) for place in dataset.shown)


def test_a_link_to_a_parent_folder_is_not_followed(tmp_path):
    picture(tmp_path / "inside" / "a.png")
    (tmp_path / "inside" / "loop").symlink_to(tmp_path, target_is_directory=True)
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere"
    picture(elsewhere / "b.png")
    (tmp_path / "link").symlink_to(elsewhere, target_is_directory=True)
    assert [path.name for path in find_pictures(tmp_path)] == ["a.png", "b.png"]


def test_the_report_names_what_stands_out(tmp_path):
    picture(tmp_path / "small.png", size=(1, 1))
    picture(tmp_path / "big.png", size=(70, 90))
    (tmp_path / "gone.txt").write_text("a caption that lost its picture")
    (tmp_path / "__.png").write_bytes((tmp_path / "big.png").read_bytes())
    text = report(read_dataset(tmp_path, 64, 64))
    assert "3 pictures" in text and "Sizes: 1×1 to 70×90." in text
    assert '1 smaller than the training size, and enlarged: "small.png".' in text
    assert '1 without words: "__.png".' in text
    assert '1 caption files without a picture: "gone.txt".' in text


def test_equal_prompts_are_listed_only_once(tmp_path):
    picture(tmp_path / "dog.png")
    picture(tmp_path / "1 dog.png")
    dataset = read_dataset(tmp_path, 64, 64)
    assert all_prompts(dataset, "x") == ["dog"]


def test_short_prompts_grow_by_their_last_part():
    tokens = torch.arange(4.0).view(4, 1)
    assert lengthen(tokens, 9, part=2).flatten().tolist() == [0, 1, 2, 3, 2, 3, 2, 3, 2]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("1girl, solo, red hair, smile", ["1girl", "solo", "smile"]),
        ("1girl\nsolo\nred hair\nsmile", ["1girl", "solo", "smile"]),
        ("1girl，solo，red hair，smile", ["1girl", "solo", "smile"]),
        ("1girl、solo、red hair", ["1girl", "solo"]),
        ("1girl, solo, red hair\na girl with red hair smiles",
         ["1girl", "solo", "a girl with red hair smiles"]),
    ],
)  # fmt: skip
def test_case_27_tags_on_lines_or_with_other_commas_are_separated(tmp_path, written, left):
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text(written, "utf-8")
    (item,) = read_dataset(tmp_path, 64, 64).items
    assert split_tags(edit_caption(item.caption, TagEdits(block=read_list("red hair")))) == left


def test_case_27_captions_of_several_lines_are_counted_and_named(tmp_path):
    for name, words in (("a", "A fox.\nA red fox."), ("b", "1girl\nsolo\nhat"), ("c", "a\nb c")):
        picture(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(words, "utf-8")
    said = report(read_dataset(tmp_path, 64, 64))
    assert '2 captions have several lines, which become one: "a.png", "c.png".' in said


def test_case_27_a_block_list_accepts_commas_of_every_keyboard():
    assert read_list("red hair, green hair，blue hair") == ("red hair", "green hair", "blue hair")
