"""Prompts of training samples depend only on the seed and the sample's number."""

import pytest
import torch

from hypernet.captions.prompts import (
    Words,
    every_prompt,
    open_templates,
    prompt_at,
    prompt_of,
    read_templates,
    template_at,
    variant_of,
)
from hypernet.captions.sources import decode
from hypernet.dataset.items import Dataset, Item
from hypernet.encoding.encode import encode_prompts
from hypernet.encoding.shards import Shards
from hypernet.training.batches import Examples, all_prompts, items_at, prompts_at
from hypernet.training.held_out import probed_items

TAGS = "sks, 1girl, hat, (red, blue:1.2), snow, smile"


def dataset(tmp_path, captions, **words):
    items = tuple(
        Item(path=tmp_path / f"{n}.png", caption=text, width=8, height=8)
        for n, text in enumerate(captions)
    )
    return Dataset(folder=tmp_path, items=items, width=8, height=8, words=Words(**words))


def test_templates_replace_filewords_first_and_then_the_name():
    assert prompt_of("[filewords], art by [name]", "a [name] fox", "me") == "a me fox, art by me"
    drawn = {template_at(("a", "b", "c"), 0, sample) for sample in range(50)}
    assert drawn == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("written", "templates"),
    [
        (b"a photo of a [name]\r\n\r\n  [filewords] \n", ("a photo of a [name]", "[filewords]")),
        (b"\xef\xbb\xbf[name]\n# not this\n", ("[name]",)),
        ("l’art de [name]\n".encode("utf-16"), ("l’art de [name]",)),
        (b"", ("[filewords]",)),
    ],
)
def test_template_files_of_a1111_are_read_unchanged(written, templates):
    assert read_templates(decode(written)) == templates


def test_a_template_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "style.txt").write_bytes(b"\xef\xbb\xbfart by [name]\r\n[filewords]")
    assert open_templates(tmp_path / "style.txt") == ("art by [name]", "[filewords]")
    (tmp_path / "book.txt").write_bytes(b"word\n" * 100_000)
    for name in ("nowhere.txt", "", "book.txt"):
        with pytest.raises(ValueError, match=f"Template file.*{name}"):
            open_templates(tmp_path / name)


def test_templates_in_an_old_encoding_are_read_or_refused(tmp_path):
    file = tmp_path / "style.txt"
    file.write_bytes("[name] 风格的油画，夕阳下的海边\n".encode("gbk"))
    assert open_templates(file) == ("[name] 风格的油画，夕阳下的海边",)
    file.write_bytes("żółty lis".encode("cp1250"))
    with pytest.raises(ValueError, match=r"style\.txt.*Save it as UTF-8"):
        open_templates(file)


def test_without_settings_the_prompt_is_the_caption():
    assert prompt_at(Words(), TAGS, "n", 0, 5) == TAGS


def test_shuffling_keeps_the_first_tags_in_place_and_loses_none():
    words = Words(shuffle=True, keep_first=2)
    made = {prompt_at(words, TAGS, "n", 0, sample) for sample in range(200)}
    assert 8 < len(made) <= 16
    for prompt in made:
        assert prompt.startswith("sks, 1girl, ") and "(red, blue:1.2)" in prompt
        assert sorted(prompt) == sorted(TAGS)


def test_dropout_keeps_the_first_tags_and_the_order_of_the_rest():
    tags = [f"t{n}" for n in range(20)]
    words = Words(tag_dropout=0.3, keep_first=1, variants=400)
    kept = [variant_of(words, ", ".join(tags), 0, n).split(", ") for n in range(400)]
    assert all(row[0] == "t0" and row == sorted(row, key=tags.index) for row in kept)
    assert sum(len(row) - 1 for row in kept) / 400 / 19 == pytest.approx(0.7, abs=0.03)
    assert variant_of(Words(tag_dropout=1.0), "a, b", 0, 3) == ""


def test_caption_dropout_empties_the_prompt_at_the_given_rate():
    words = Words(caption_dropout=0.2, templates=("a picture of [filewords]",))
    made = [prompt_at(words, "fox", "n", 0, sample) for sample in range(2000)]
    assert set(made) == {"", "a picture of fox"}
    assert made.count("") / 2000 == pytest.approx(0.2, abs=0.03)


def test_random_choices_depend_only_on_seed_and_sample():
    words = Words(
        shuffle=True, tag_dropout=0.2, caption_dropout=0.1, templates=("[filewords]", "x")
    )
    made = [[prompt_at(words, TAGS, "n", seed, s) for s in range(64)] for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert [prompt_at(words, TAGS, "n", 1, s) for s in range(60, 64)] == made[0][60:]


def test_every_prompt_covers_all_prompts_of_a_run(tmp_path):
    captions = ["a, b, c, d", "e, f, g", "", "h"]
    settings = dict(
        shuffle=True, tag_dropout=0.3, caption_dropout=0.2, variants=5,
        templates=("[filewords]", "by [name]: [filewords]"),
    )  # fmt: skip
    described = dataset(tmp_path, captions, **settings)
    everything = set(all_prompts(described, "n", 3))
    assert len(everything) <= 4 * 2 * 5 + 1
    asked = [
        prompt_at(described.words, described.items[item].caption, "n", 3, sample)
        for sample, item in enumerate(items_at(described, 3, 0, 400))
    ]
    assert set(asked) <= everything
    short = all_prompts(described, "n", 3, samples=10)
    probed = prompts_at(described, "n", 3, range(8), probed_items(described))
    assert {*asked[:10], *probed} == set(short), "a short run encodes what it shows and no more"
    assert set(all_prompts(described, "n", 3, samples=10, probes=False)) == set(asked[:10])
    assert set(every_prompt(described.words, "h", "n", 3)) == {"", "h", "by n: h", "by n: "}


def test_the_forms_of_a_caption_do_not_depend_on_the_length_of_the_run(tmp_path):
    described = dataset(tmp_path, [TAGS, "x, y, z, w"], shuffle=True, variants=4)
    assert set(all_prompts(described, "n", 0, 6)) <= set(all_prompts(described, "n", 0, 6000))


def test_encoded_prompts_are_on_disk_and_batches_find_them(tmp_path):
    described = dataset(tmp_path, [TAGS, "fox"], shuffle=True, variants=40)
    prompts = all_prompts(described, "n", 0)
    groups = []

    def encode(texts):
        groups.append(len(texts))
        return [{"context": torch.full((2, 3), float(prompts.index(text)))} for text in texts]

    kept = encode_prompts(prompts, encode, Shards(tmp_path / "kept"), group=8)
    assert max(groups) == 8 and sum(groups) == len(prompts)
    examples = Examples(
        dataset=described,
        name="n",
        seed=0,
        latents=[{"mean": torch.zeros(1, 1, 1)}] * 2,
        conditions=kept,
    )
    condition = examples.batch_at(7, 3).condition
    items = items_at(described, 0, 7, 3)
    for row, item in enumerate(items):
        text = prompt_at(described.words, described.items[item].caption, "n", 0, 7 + row)
        assert condition["context"][row].eq(prompts.index(text)).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tag_dropout": 1.5}, "tag_dropout 1.5"),
        ({"caption_dropout": -0.1, "keep_first": -1}, r"caption_dropout -0.1.*keep_first -1"),
        ({"variants": 0}, "variants 0"),
        ({"templates": ()}, "no templates"),
    ],
)
def test_impossible_settings_are_named(settings, text):
    with pytest.raises(ValueError, match=text):
        Words(**settings)


@pytest.mark.parametrize(
    "template",
    ["[FileWords] by [Name]", "［filewords］ by ［name］", "【filewords】 by 【name】",
     "[ filewords ] by [ name ]", "[file words] by [name]", "[file_words] by [name]",
     "{filewords} by [name]", "(filewords) by [name]", "[fileword] by [name]"],
)  # fmt: skip
def test_placeholders_in_a_template_are_found_however_they_are_typed(template):
    assert read_templates(template) == ("[filewords] by [name]",)


def test_other_brackets_in_a_template_stay():
    assert read_templates("[cat|dog], 【filename】") == ("[cat|dog], 【filename】",)
