"""The bundled transformer: small enough for a clone, and known to the stand-in and the census."""

from pathlib import Path

import torch
from hypernet_pack.compat import attention_widths
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint

from demo.drawing import draw

FOLDER = Path(__file__).parents[2] / "demo" / "tiny-dit"
MOST_BYTES = 10 * 2**20


def test_it_is_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) <= MOST_BYTES


def test_it_draws_a_red_heart():
    model, clip, vae = load_checkpoint(FOLDER)
    assert attention_widths(model) == {"text": (192,), "image": (192,), "joint": (192,)}
    (picture,) = draw(model, clip, vae, ["red heart"], cfg=3.0, steps=8)
    red, green, blue = picture[32:96, 32:96].mean(dim=(0, 1))
    assert red > 0.7 and max(green, blue) < 0.4
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.all(corners > 0.8)
