"""The six numbers that SDXL is told of a picture."""

import pytest
import torch

from hypernet.dataset.items import Dataset, Item
from hypernet.pictures.crop import Cut, cover, flipped
from hypernet.pictures.sdxl_sizes import sizes_in_options, sizes_of_cut
from hypernet.training.batches import Examples


@pytest.mark.parametrize(
    ("cut", "across", "down", "sizes"),
    [
        (cover(1024, 1024, 512, 512), 1024, 1024, (1024, 1024, 0, 0, 512, 512)),
        # 2000×1000 becomes 1024×512, of which the middle 512 are shown
        (cover(2000, 1000, 512, 512), 2000, 1000, (1000, 2000, 0, 256, 512, 512)),
        (cover(1000, 2000, 512, 512), 1000, 2000, (2000, 1000, 256, 0, 512, 512)),
        (cover(2000, 1000, 512, 512, (0, 0)), 2000, 1000, (1000, 2000, 0, 0, 512, 512)),
        # mirrored, what was to the right of the part is to its left
        (flipped(cover(2000, 1000, 512, 512, (0, 0))), 2000, 1000, (1000, 2000, 0, 512, 512, 512)),
        (
            Cut(box=(100, 50, 400, 250), width=600, height=400),
            500,
            300,
            (300, 500, 100, 200, 400, 600),
        ),
    ],
    ids=["whole", "wide", "tall", "focus", "mirrored", "enlarged"],
)
def test_a_crop_is_placed_in_the_resized_picture(cut, across, down, sizes):
    assert sizes_of_cut(cut, across, down) == sizes


def test_a_conditioning_names_sizes_as_comfyui_does():
    assert sizes_in_options({}, 64, 96) == (64, 96, 0, 0, 64, 96)
    assert sizes_in_options({"height": 10, "width": 20}, 64, 96) == (10, 20, 0, 0, 10, 20)
    named = {"crop_h": 1, "crop_w": 2, "target_height": 3, "target_width": 4}
    assert sizes_in_options(named, 64, 96) == (64, 96, 1, 2, 3, 4)


def test_a_batch_has_the_sizes_of_its_pictures_if_prompts_have_a_pooled_vector(tmp_path):
    items = [
        Item(path=tmp_path / "a", caption="a", width=2000, height=1000),
        Item(path=tmp_path / "b", caption="b", width=64, height=64),
    ]
    dataset = Dataset(folder=tmp_path, items=tuple(items), width=512, height=512)
    text = {"context": torch.zeros(77, 8)}

    def batch(condition):
        conditions = {"a": condition, "b": condition}
        return Examples(
            dataset=dataset,
            name="",
            seed=0,
            latents=[{"mean": torch.zeros(4, 8, 8)}] * 2,
            conditions=conditions,
        ).batch_at(0, 2)

    found = batch({**text, "pooled": torch.ones(3)}).condition
    assert found["pooled"].shape == (2, 3)
    assert sorted(found["sizes"].tolist()) == [
        [64, 64, 0, 0, 512, 512],
        [1000, 2000, 0, 256, 512, 512],
    ]
    assert batch(text).condition.keys() == {"context"}
