"""Loss masks: the right part of the picture counts, and a uniform mask changes nothing."""

import numpy as np
import pytest
import torch
from PIL import Image

from hypernet.dataset.content_keys import Contents
from hypernet.dataset.in_words import report
from hypernet.dataset.masks import check_masks, loss_weights
from hypernet.dataset.prepare import Preparation, prepare
from hypernet.dataset.reading import read_dataset
from hypernet.encoding.encode import encode_dataset, encode_masks
from hypernet.encoding.shards import Shards
from hypernet.training.batches import Examples


def with_alpha(path, alpha):
    picture = Image.new("RGBA", alpha.size, "red")
    picture.putalpha(alpha)
    picture.save(path)


def left_half(size, value=255):
    mask = Image.new("L", size, 0)
    mask.paste(value, (0, 0, size[0] // 2, size[1]))
    return mask


@pytest.fixture(params=["alpha", "mask file"])
def masked(request, tmp_path):
    """A function: a dataset of one picture with that mask, at a training size."""

    def make(mask, width, height, **preparation):
        if request.param == "alpha":
            with_alpha(tmp_path / "fox.png", mask)
        else:
            Image.new("RGB", mask.size).save(tmp_path / "fox.jpg")
            mask.save(tmp_path / "fox_mask.png")
        dataset = read_dataset(tmp_path, width, height)
        return prepare(dataset, Preparation(loss_mask=request.param, **preparation))

    return make


@pytest.mark.parametrize("size", [(64, 64), (200, 104), (104, 200)])
def test_a_mask_of_one_half_doubles_its_weight_even_if_not_square(masked, size):
    dataset = masked(left_half(size), *size)
    rows, columns = size[1] // 8, size[0] // 8
    weights = loss_weights(dataset.items[0], dataset, rows, columns)
    assert weights.shape == (1, rows, columns)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights[0, :, : columns // 2].min() > 1.9
    assert weights[0, :, -(columns // 2) :].max() == 0


def test_a_masks_rows_stay_rows(masked):
    mask = Image.new("L", (200, 104), 0)
    mask.paste(255, (0, 0, 200, 26))  # the upper quarter
    dataset = masked(mask, 200, 104)
    weights = loss_weights(dataset.items[0], dataset, 13, 25)
    assert weights.shape == (1, 13, 25)
    assert torch.allclose(weights[0, :3], torch.full((3, 25), 4.0), atol=0.01)
    assert weights[0, 4:].max() == 0


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_uniform_mask_changes_nothing(masked, value):
    dataset = masked(Image.new("L", (70, 50), value), 64, 64)
    weights = loss_weights(dataset.items[0], dataset, 8, 8)
    assert torch.allclose(weights, torch.ones(1, 8, 8), atol=1e-5)


def test_a_mask_is_cut_and_mirrored_like_its_picture(masked):
    mask = left_half((400, 100))
    dataset = masked(mask, 64, 64, split_oversized=True, flip_copies=True)
    count = len(dataset.items) // 2
    found = [loss_weights(item, dataset, 8, 8) for item in dataset.items]
    assert torch.equal(found[0], torch.ones(1, 8, 8)), "the first part is white all over"
    assert torch.equal(found[count - 1], torch.ones(1, 8, 8)), "the last is black all over"
    for plain, mirrored in zip(found[:count], found[count:], strict=True):
        assert torch.equal(plain, mirrored.flip(-1))
    assert any(weights[0, 0, 0] > 1 and weights[0, 0, -1] == 0 for weights in found[:count])


def test_without_a_mask_everything_counts_equally(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "fox.png")
    for kind in ("none", "alpha", "mask file"):
        dataset = prepare(read_dataset(tmp_path, 64, 64), Preparation(loss_mask=kind))
        assert torch.equal(loss_weights(dataset.items[0], dataset, 4, 8), torch.ones(1, 4, 8))


@pytest.mark.parametrize(
    ("names", "pictures", "masks"),
    [
        (["fox.png", "fox_mask.png"], ["fox.png"], 1),
        (["fox.jpg", "fox_mask.png", "in/fox_mask.png"], ["fox.jpg", "fox_mask.png"], 1),
        (["carnival_mask.png"], ["carnival_mask.png"], 0),
        (["_mask.png", "a.png"], ["_mask.png", "a.png"], 0),
    ],
)
def test_a_mask_beside_its_picture_is_not_trained_on(tmp_path, names, pictures, masks):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    dataset = read_dataset(tmp_path, 64, 64)
    assert [item.path.name for item in dataset.items] == pictures
    assert sum(item.mask is not None for item in dataset.items) == masks
    assert ("1 pictures have a mask" in report(dataset)) == (masks == 1)


def test_a_mask_may_have_another_size_but_not_another_shape(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "fox.png")
    left_half((50, 25)).save(tmp_path / "fox_mask.png")
    dataset = prepare(read_dataset(tmp_path, 64, 32), Preparation(loss_mask="mask file"))
    assert loss_weights(dataset.items[0], dataset, 4, 8)[0, :, 0].min() > 1.9
    left_half((50, 50)).save(tmp_path / "fox_mask.png")
    with pytest.raises(ValueError, match='Mask "fox_mask.png" is 50×50.*200×100'):
        check_masks(dataset)
    with pytest.raises(ValueError, match="picture's shape"):
        loss_weights(dataset.items[0], dataset, 4, 8)
    (tmp_path / "fox_mask.png").write_text("words")
    with pytest.raises(ValueError, match='"fox_mask.png" cannot be read'):
        prepare(dataset, Preparation(loss_mask="mask file"))


def test_the_report_says_how_many_pictures_have_a_mask(tmp_path):
    for name in ("a.png", "a_mask.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    dataset = prepare(read_dataset(tmp_path, 64, 64), Preparation(loss_mask="mask file"))
    assert "1 of 2 pictures have a mask" in report(dataset)


def test_a_mask_drawn_on_transparency_is_black_there(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "fox.png")
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    clear.paste("white", (0, 0, 8, 16))
    clear.save(tmp_path / "fox_mask.png")
    dataset = prepare(read_dataset(tmp_path, 16, 16), Preparation(loss_mask="mask file"))
    assert loss_weights(dataset.items[0], dataset, 2, 2).tolist() == [[[2, 0], [2, 0]]]


def test_batches_give_latents_and_weights_of_the_same_samples(tmp_path):
    for number, size in enumerate([(64, 64), (64, 64), (96, 48), (48, 96), (96, 48)]):
        mask = Image.fromarray(np.full(size[::-1], 40 * number + 40, np.uint8))
        mask.paste(0, (0, 0, 8, 8))
        with_alpha(tmp_path / f"{number}.png", mask)
    dataset = prepare(
        read_dataset(tmp_path, 64, 64),
        Preparation(size="buckets", bucket_step=16, loss_mask="alpha"),
    )
    shards, contents = Shards(tmp_path / "kept"), Contents(dataset.folder)

    def encode(pixels):
        small = pixels.movedim(-1, 1)[..., ::8, ::8]
        return small, torch.zeros_like(small)

    dataset, latents = encode_dataset(dataset, encode, shards, contents)
    examples = Examples(
        dataset=dataset, name="n", seed=3, latents=latents,
        conditions={item.caption: {"context": torch.zeros(1, 1)} for item in dataset.items},
        weights=encode_masks(dataset, latents, contents),
    )  # fmt: skip
    shapes = set()
    for batch in range(12):
        found, _, weights = examples.batch_at(batch * 2, 2)
        assert weights.shape == (2, 1, *found.shape[-2:])
        assert torch.allclose(weights.mean((1, 2, 3)), torch.ones(2), atol=1e-5)
        shapes.add(found.shape[-2:])
    assert len(shapes) == 3
    assert encode_masks(prepare(dataset, Preparation()), latents, contents) is None
