"""What the demo is judged by: the two judges, and the pictures that nobody trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demo import judges as judges_module
from demo.making import choose, damage
from demo.pictures import open_picture

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="module")
def judges():
    if not judges_module.FOLDER.exists():
        pytest.skip("the judges are not bundled yet: demo/making/train_judges.py makes them")
    return judges_module.load_judges()


def pictures(style: str) -> torch.Tensor:
    """(64, 128, 128, 3) in 0..1: the held-out names as one set draws them."""
    files = sorted((DEMO / "held_out" / style).glob("*.png"))
    return torch.stack([torch.from_numpy(np.array(open_picture(f))) for f in files]) / 255


def contrasted(real: torch.Tensor) -> torch.Tensor:
    return ((real - 0.5) * 3 + 0.5).clamp(0, 1)


def noisy(real: torch.Tensor) -> torch.Tensor:
    coarse = torch.randn(64, 16, 16, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    return (real + coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)).clamp(0, 1)


def inverted(real: torch.Tensor) -> torch.Tensor:
    return 1 - real


def test_real_twemoji_pictures_are_twemoji(judges):
    assert judges.style(pictures("twemoji")).mean() >= 0.9


def test_real_noto_pictures_are_not(judges):
    assert judges.style(pictures("noto")).mean() <= 0.1


@pytest.mark.parametrize("damage", [contrasted, noisy, inverted])
def test_damaged_twemoji_pictures_are_not_either(judges, damage):
    assert judges.style(damage(pictures("twemoji"))).mean() <= 0.2


def test_a_score_does_not_depend_on_the_company_nor_on_the_size(judges):
    real = pictures("twemoji")[:8]
    small = torch.nn.functional.avg_pool2d(real.movedim(-1, 1), 2).movedim(1, -1)
    assert torch.allclose(judges.style(real)[3:4], judges.style(real[3:4]), atol=1e-5)
    assert torch.allclose(judges.style(real), judges.style(small), atol=1e-4)


@pytest.mark.parametrize("style", ["noto", "twemoji"])
def test_the_content_judge_knows_what_real_pictures_show(judges, style):
    rows = json.loads((DEMO / "held_out" / "names.json").read_text("utf-8"))
    truth = [row["subcategory"] for row in rows]
    found = judges.subcategory(pictures(style))
    assert sum(f == t for f, t in zip(found, truth, strict=True)) >= 0.9 * len(truth)
    assert set(truth) <= set(judges.subcategories)


def test_recast_pictures_keep_white_and_change_colours():
    real = pictures("twemoji").movedim(-1, 1)
    recast = damage.recast(real, torch.Generator().manual_seed(0))
    white = (real == 1).all(dim=1, keepdim=True).expand_as(real)
    assert torch.allclose(recast[white], real[white], atol=1e-5)
    assert (recast - real)[~white].abs().mean() > 0.05


def test_the_content_judge_looks_past_colours(judges):
    rows = json.loads((DEMO / "held_out" / "names.json").read_text("utf-8"))
    recast = damage.recast(pictures("noto").movedim(-1, 1), torch.Generator().manual_seed(0))
    found = judges.subcategory(recast.movedim(1, -1))
    right = sum(f == row["subcategory"] for f, row in zip(found, rows, strict=True))
    assert right >= 0.8 * len(rows)


def test_the_style_judge_was_right_about_names_it_never_saw(judges):
    assert judges.classifier_accuracy >= 0.95


@pytest.mark.parametrize("which", ["style_judge", "content_judge"])
def test_a_judge_is_small(judges, which):
    assert sum(p.numel() for p in getattr(judges, which).parameters()) <= 150_000


def test_the_judges_files_are_small(judges):
    assert size_of(DEMO / "judges") <= 800_000


def test_64_names_are_trained_on_and_64_others_are_held_out():
    trained, held_out = choose.split()
    assert len(set(trained)) == len(set(held_out)) == 64
    assert not set(trained) & set(held_out)
    rows = json.loads((DEMO / "held_out" / "names.json").read_text("utf-8"))
    assert [row["key"] for row in rows] == held_out
    assert all(row["caption"].strip() and row["subcategory"] for row in rows)


def test_every_chosen_name_has_its_pictures_and_captions():
    trained, held_out = choose.split()
    captions = {f.stem: f.read_text("utf-8") for f in (DEMO / "pictures").glob("*.txt")}
    assert sorted(captions) == trained and captions
    assert all(text.strip() for text in captions.values())
    for folder, keys in (
        ("pictures", trained),
        ("held_out/noto", held_out),
        ("held_out/twemoji", held_out),
    ):
        files = sorted((DEMO / folder).glob("*.png"))
        assert [f.stem for f in files] == keys
        for file in files:
            with Image.open(file) as picture:
                assert picture.size == (64, 64)


def test_no_held_out_caption_is_trained_on():
    rows = json.loads((DEMO / "held_out" / "names.json").read_text("utf-8"))
    captions = {f.read_text("utf-8").strip() for f in (DEMO / "pictures").glob("*.txt")}
    assert captions and rows
    assert not captions & {row["caption"] for row in rows}


def test_the_whole_demo_is_small_enough_to_ship():
    """tiny-dit stays in the repository, see .comfyignore."""
    assert size_of(DEMO) - size_of(DEMO / "tiny-dit") <= 14_000_000


def size_of(folder: Path) -> int:
    files = [f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert files
    return sum(f.stat().st_size for f in files)
