"""DeepDanbooru's published weights, by their names and shapes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from hypernet.captions.tags import TagRules, caption_of_tags
from hypernet.taggers.deepdanbooru import (
    DeepDanbooru,
    DeepDanbooruTagger,
    bottlenecks,
    convolutions,
    fit,
)

TAGS = 9176
# (first, last) number -> the convolutions in that range, repeated
# (in, out, kernel, stride); read off the published layers one by one
PUBLISHED = [
    (0, 0, [(3, 64, 7, 2)]),
    (1, 4, [(64, 256, 1, 1), (64, 64, 1, 1), (64, 64, 3, 1), (64, 256, 1, 1)]),
    (5, 10, [(256, 64, 1, 1), (64, 64, 3, 1), (64, 256, 1, 1)]),
    (11, 14, [(256, 512, 1, 2), (256, 128, 1, 1), (128, 128, 3, 2), (128, 512, 1, 1)]),
    (15, 35, [(512, 128, 1, 1), (128, 128, 3, 1), (128, 512, 1, 1)]),
    (36, 39, [(512, 1024, 1, 2), (512, 256, 1, 1), (256, 256, 3, 2), (256, 1024, 1, 1)]),
    (40, 96, [(1024, 256, 1, 1), (256, 256, 3, 1), (256, 1024, 1, 1)]),
    (97, 100, [(1024, 256, 1, 1), (256, 256, 3, 2), (256, 1024, 1, 1), (1024, 1024, 1, 2)]),
    (101, 157, [(1024, 256, 1, 1), (256, 256, 3, 1), (256, 1024, 1, 1)]),
    (158, 161, [(1024, 2048, 1, 2), (1024, 512, 1, 1), (512, 512, 3, 2), (512, 2048, 1, 1)]),
    (162, 167, [(2048, 512, 1, 1), (512, 512, 3, 1), (512, 2048, 1, 1)]),
    (168, 171, [(2048, 4096, 1, 2), (2048, 1024, 1, 1), (1024, 1024, 3, 2), (1024, 4096, 1, 1)]),
    (172, 177, [(4096, 1024, 1, 1), (1024, 1024, 3, 1), (1024, 4096, 1, 1)]),
    (178, 178, [(4096, TAGS, 1, 1)]),
]


def published():
    """{number: (in, out, kernel, stride)} of all 179."""
    return {
        number: rows[(number - first) % len(rows)]
        for first, last, rows in PUBLISHED
        for number in range(first, last + 1)
    }


def test_every_layer_has_the_published_shape():
    with torch.device("meta"):
        made = convolutions(TAGS)
    assert list(made) == list(range(179))
    for number, (channels, out, kernel, stride) in published().items():
        layer = made[number]
        assert tuple(layer.weight.shape) == (out, channels, kernel, kernel), number
        assert layer.stride == (stride, stride) and layer.padding == (0, 0), number
        assert (layer.bias is None) == (number == 178)


def test_shortcuts_go_past_the_first_block_of_every_stage():
    assert [block.shortcut for block in bottlenecks() if block.shortcut is not None] == [
        1, 11, 36, 100, 158, 168,
    ]  # fmt: skip
    assert [block.first for block in bottlenecks()][-3:] == [169, 172, 175]


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """The published keys and shapes with random values, as half numbers; 9176 tags."""
    drawn = torch.randn(2**20 + 7, generator=torch.Generator().manual_seed(0))
    weights = {}
    for number, (channels, out, kernel, _) in published().items():
        count = out * channels * kernel**2
        scale = (2 / (channels * kernel**2)) ** 0.5 * (0.3 if number > 1 else 1)
        values = (drawn * scale).half().repeat(-(-count // len(drawn)))[:count].clone()
        weights[f"n_Conv_{number}.weight"] = values.view(out, channels, kernel, kernel)
        if number != 178:
            weights[f"n_Conv_{number}.bias"] = torch.zeros(out, dtype=torch.float16)
    weights["tags"] = ["rating:safe", *(f"tag_{n}" for n in range(TAGS - 1))]
    file = tmp_path_factory.mktemp("models") / "model-resnet_custom_v3.pt"
    torch.save(weights, file)
    return file


def test_a_file_with_the_published_keys_loads_and_runs(weights_file):
    tagger = DeepDanbooruTagger(weights_file, torch.device("cpu"))
    # a small picture is enough, because the network is fully convolutional
    tagger_input = torch.rand(2, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    scores = tagger.model(tagger_input)
    assert scores.shape == (2, TAGS) and bool(((scores > 0) & (scores < 1)).all())
    assert scores[0].ne(scores[1]).any()
    (seen,) = tagger([Image.new("RGB", (60, 40), "red")])
    assert [tag.category for tag in seen[:2]] == ["rating", "general"] and len(seen) == TAGS
    words = caption_of_tags(seen, TagRules(thresholds={"general": 0.0}))
    assert "rating" not in words and "tag 17" in words.split(", ")


def test_the_stem_and_strides_pad_like_tensorflow():
    model = DeepDanbooru(3).eval()
    x = torch.rand(1, 128, 128, 3)
    seen = {}
    for number in (0, 1, 13, 14, 98):
        model.get_submodule(f"n_Conv_{number}").register_forward_hook(
            lambda layer, given, out, number=number: seen.update({number: (given[0], out)})
        )
    with torch.no_grad():
        assert model(x).shape == (1, 3)
    stem = F.conv2d(
        nn.ZeroPad2d((2, 3, 2, 3))(x.permute(0, 3, 1, 2)),
        model.n_Conv_0.weight, model.n_Conv_0.bias, stride=2,
    )  # fmt: skip
    assert torch.equal(stem, seen[0][1]) and stem.shape[2:] == (64, 64)
    assert seen[1][0].shape[2:] == (32, 32), "after the pool"
    assert seen[13][0].shape[2:] == (33, 33) and seen[14][0].shape[2:] == (16, 16)
    assert seen[13][0][..., -1, :].eq(0).all() and seen[13][0][..., 0, :].ne(0).any()


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((100, 100), (0, 0, 512, 512)),
        ((200, 100), (0, 128, 512, 384)),
        ((300, 900), (171, 0, 341, 512)),
        ((3000, 1), (0, 256, 512, 257)),
    ],
)
def test_a_picture_is_fitted_whole_and_its_border_fills_the_rest(size, inside):
    picture = Image.new("RGB", size, (200, 100, 50))
    assert fit(picture).size == (512, 512)
    assert (np.asarray(fit(picture)) == (200, 100, 50)).all()
    noisy = Image.effect_noise(size, 90).convert("RGB")
    left, top, right, bottom = inside
    resized = noisy.resize((right - left, bottom - top), Image.LANCZOS)
    assert (np.asarray(fit(noisy).crop(inside)) == np.asarray(resized)).all()


def test_each_border_is_filled_with_its_own_line():
    picture = Image.new("RGB", (200, 100), "green")
    picture.paste("red", (0, 0, 200, 10))
    picture.paste("blue", (0, 90, 200, 100))
    square = fit(picture)
    assert square.getpixel((250, 0)) == (255, 0, 0) == square.getpixel((5, 120))
    assert square.getpixel((250, 511)) == (0, 0, 255) == square.getpixel((5, 390))


def save(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no weights", "cannot be read as DeepDanbooru's weights"),
        (["a list"], "no list of tags"),
        ({"n_Conv_0.weight": torch.zeros(1)}, "no list of tags"),
        ({"tags": [1, 2]}, "no list of tags"),
        ({"tags": ["a"], "n_Conv_0.weight": torch.zeros(1)}, "n_Conv_0.weight, n_Conv_0.bias"),
    ],
)
def test_a_different_file_is_refused_by_name(tmp_path, content, words):
    file = tmp_path / "other.pt"
    file.write_bytes(content) if isinstance(content, bytes) else save(file, content)
    with pytest.raises(ValueError, match=words) as fault:
        DeepDanbooruTagger(file, torch.device("cpu"))
    assert "other.pt" in str(fault.value) and "model-resnet_custom_v3.pt" in str(fault.value)
