"""What is encoded once is not encoded again, unless it has changed."""

import os

import pytest
import torch
from PIL import Image

from hypernet.dataset.content_keys import Contents
from hypernet.dataset.reading import read_dataset
from hypernet.encoding.encode import encode_dataset, encode_prompts, text_key, vae_key
from hypernet.encoding.shards import Shards
from hypernet.training.batches import Examples


class Encoder:
    """An encoder whose means and spreads depend on the picture; counts its calls."""

    def __init__(self):
        self.asked = 0

    def __call__(self, pixels):
        self.asked += 1
        small = pixels.movedim(-1, 1)[:, :, ::8, ::8]
        return small, small / 10


class Stop(Exception):
    pass


def picture(path, shade, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, shade, 0)).save(path)


@pytest.fixture
def folder(tmp_path):
    for shade in range(5):
        picture(tmp_path / "pictures" / f"{shade}.png", shade * 50)
    return tmp_path / "pictures"


def encode(folder, encoder, each=lambda done, total: None, size=64, **options):
    """Encodes like a new run, with nothing in memory from the one before."""
    dataset = read_dataset(folder, size, size, **options)
    cache = folder.parent / "cache"
    return encode_dataset(dataset, encoder, Shards(cache), Contents(folder, cache), each)


def shades(latents):
    return [round(each["mean"][0, 0, 0].item() * 255) for each in latents]


def test_a_second_run_encodes_nothing(folder):
    first, second = Encoder(), Encoder()
    _, latents = encode(folder, first)
    assert first.asked == 5 and shades(latents) == [0, 50, 100, 150, 200]
    _, again = encode(folder, second)
    assert second.asked == 0
    assert all(torch.equal(a["mean"], b["mean"]) for a, b in zip(latents, again, strict=True))
    assert latents[3]["std"].dtype == torch.float16
    assert latents[3]["std"][0, 0, 0].item() == pytest.approx(150 / 2550, rel=1e-3)


def test_changing_one_picture_encodes_only_that_one(folder):
    encode(folder, Encoder())
    status = (folder / "2.png").stat()
    picture(folder / "2.png", 7)
    os.utime(folder / "2.png", (0, 0))
    assert (folder / "2.png").stat().st_size == status.st_size, "a change that its length hides"
    (folder / "3.png").rename(folder / "30.png")
    encoder = Encoder()
    _, latents = encode(folder, encoder)
    assert encoder.asked == 1 and shades(latents) == [0, 50, 7, 200, 150]


def test_another_size_gives_another_latent(folder):
    encode(folder, Encoder())
    encoder = Encoder()
    encode(folder, encoder, size=32)
    assert encoder.asked == 5


def test_the_same_picture_under_two_names_is_encoded_once(folder):
    picture(folder / "again.png", 50)
    encoder = Encoder()
    _, latents = encode(folder, encoder)
    assert encoder.asked == 5 and len(latents) == 6


def test_an_interrupt_keeps_what_was_encoded(folder):
    def stop(done, total):
        if total == 5 and encoder.asked == 3:
            raise Stop

    encoder = Encoder()
    with pytest.raises(Stop):
        encode(folder, encoder, stop)
    rest = Encoder()
    encode(folder, rest)
    assert (encoder.asked, rest.asked) == (3, 2)


def test_a_picture_that_fails_only_when_it_is_decoded_is_named_or_skipped(folder):
    Image.effect_noise((64, 64), 90).save(folder / "rotten.png")
    written = bytearray((folder / "rotten.png").read_bytes())
    written[60:1500] = bytes(1440)
    (folder / "rotten.png").write_bytes(written)
    with pytest.raises(ValueError, match="rotten.png"):
        encode(folder, Encoder())
    dataset, latents = encode(folder, Encoder(), skip_unreadable=True)
    assert [item.path.name for item in dataset.items] == [f"{n}.png" for n in range(5)]
    assert len(latents) == 5 and dataset.unreadable[0][0] == "rotten.png"


def test_a_picture_that_vanishes_half_way_is_named(folder):
    dataset = read_dataset(folder, 64, 64)
    (folder / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.png"):
        encode_dataset(dataset, Encoder(), Shards(folder), Contents(folder))


def test_a_vae_that_gives_nan_is_reported_and_nothing_is_kept(folder):
    with pytest.raises(ValueError, match=r"NaN.*0\.png.*float32"):
        encode(folder, lambda pixels: (pixels * torch.nan, pixels))
    encoder = Encoder()
    encode(folder, encoder)
    assert encoder.asked == 5


def test_encoders_are_identified_by_their_output():
    def texts(shift):
        return lambda asked: [{"context": torch.full((2, 3), len(t) + shift)} for t in asked]

    assert vae_key(Encoder()) == vae_key(Encoder())
    assert vae_key(lambda pixels: (pixels, pixels)) != vae_key(lambda pixels: (pixels, pixels * 2))
    assert text_key(texts(0.0)) == text_key(texts(0.0)) != text_key(texts(1e-3))


def test_prompts_are_encoded_once_unless_they_read_a_file(tmp_path):
    asked = []

    def encode_texts(texts):
        asked.extend(texts)
        return [{"context": torch.full((1, 2), float(len(text)))} for text in texts]

    prompts = ["a", "bbb", "embedding:fox", "a"]
    for _ in range(2):
        kept = encode_prompts(
            prompts, encode_texts, Shards(tmp_path), lasting=lambda text: "embedding:" not in text
        )
        assert {text: kept[text]["context"][0, 0].item() for text in kept} == {
            "a": 1, "bbb": 3, "embedding:fox": 13,
        }  # fmt: skip
    assert asked == ["a", "bbb", "embedding:fox", "embedding:fox"]


def test_an_interrupt_between_two_groups_keeps_the_first(tmp_path):
    def stop(done, total):
        if done:
            raise Stop

    def encode_texts(texts):
        return [{"context": torch.zeros(1)} for _ in texts]

    with pytest.raises(Stop):
        encode_prompts(list("abcd"), encode_texts, Shards(tmp_path), stop, group=2)
    assert len(Shards(tmp_path)) == 2


def test_latents_are_means_or_samples_drawn_by_seed_and_place(folder):
    dataset, latents = encode(folder, Encoder())
    conditions = {item.caption: {"context": torch.zeros(1)} for item in dataset.items}

    def shown(sampling, first, seed=0):
        examples = Examples(
            dataset=dataset, name="n", seed=seed, latents=latents, conditions=conditions,
            sampling=sampling,
        )  # fmt: skip
        item = examples.dataset.shown[3]
        return examples.latent(item, first), latents[item]

    for sampling in ("deterministic", "once", "random"):
        assert torch.equal(shown(sampling, 3)[0], shown(sampling, 3)[0])
    mean, kept = shown("deterministic", 3)
    assert torch.equal(mean, kept["mean"])
    once, again = shown("once", 3)[0], shown("once", 8)[0]
    assert torch.equal(once, again) and not torch.equal(once, shown("once", 3, seed=1)[0])
    assert not torch.equal(shown("random", 3)[0], shown("random", 8)[0])


def test_samples_have_the_spread_that_the_vae_gave(folder):
    dataset, _ = encode(folder, Encoder())
    known = {"mean": torch.full((1, 100, 100), 2.0), "std": torch.full((1, 100, 100), 0.5).half()}
    examples = Examples(
        dataset=dataset, name="n", seed=0, latents=[known] * 5, conditions={}, sampling="random"
    )
    drawn = examples.latent(0, 0)
    assert drawn.mean().item() == pytest.approx(2, abs=0.03)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.03)
