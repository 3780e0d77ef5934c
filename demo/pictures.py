"""Reads the demo's pictures: the same names, drawn in two styles.

The npm packages `emoji-datasource-google` (Noto, Apache 2.0) and `emoji-datasource-twitter`
(Twemoji, CC-BY 4.0) have 64-pixel pictures of the same names. The tiny base model draws in Noto's
style; a hypernetwork teaches it Twemoji's. Every name exists in both, so there is a true picture to
compare with for held-out names.

Near-duplicates (people in many roles, families, country flags) are left out. They would use up most
of a tiny model's capacity and show nothing that the rest does not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Generator, Tensor

SIZE = 128  # pixels: the 64-pixel originals, doubled

LEFT_OUT = {
    "country-flag", "subdivision-flag", "skin-tone", "family", "person", "person-role",
    "person-activity", "person-sport", "person-fantasy", "person-gesture", "person-symbol",
    "person-resting", "hotel",
}  # fmt: skip

# Signs and letters. The VAE and the tokenizer were trained on them, but not the UNet.
SIGNS = {
    "alphanum", "keycap", "arrow", "geometric", "zodiac", "math", "punctuation", "transport-sign",
    "av-symbol", "other-symbol", "warning", "religion", "gender", "currency", "time", "flag",
}  # fmt: skip

# Unicode's own names call things "black" that all pictures show in another colour.
ALIASES = {
    "heart": ["red heart"],
    "star": ["yellow star", "star"],
    "sunny": ["sun"],
    "pizza": ["pizza", "slice of pizza"],
    "dog": ["dog"],
    "cat": ["cat"],
}


@dataclass(frozen=True, kw_only=True)
class Emoji:
    """One name of the two sets: the file of its pictures, and its captions."""

    key: str  # the short name, a file-name-safe identifier
    captions: tuple[str, ...]  # the full name first, then shorter ones
    subcategory: str
    file: str


def clean(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())


def read_names(google: Path, twitter: Path) -> list[Emoji]:
    """The names that both unpacked packages have pictures of, without near-duplicates."""
    names = []
    for entry in json.loads((google / "emoji.json").read_text("utf-8")):
        both = entry["has_img_google"] and entry["has_img_twitter"]
        if not both or entry["subcategory"] in LEFT_OUT:
            continue
        if not picture_path(google, "google", entry["image"]).exists():
            continue
        if not picture_path(twitter, "twitter", entry["image"]).exists():
            continue
        words = [*ALIASES.get(entry["short_name"], []), entry["name"], *entry["short_names"]]
        captions = tuple(dict.fromkeys(clean(word) for word in words))
        names.append(
            Emoji(
                key=entry["short_name"].replace("-", "_"),
                captions=captions,
                subcategory=entry["subcategory"],
                file=entry["image"],
            )
        )
    return sorted(names, key=lambda emoji: emoji.key)


def picture_path(package: Path, vendor: str, file: str) -> Path:
    return package / "img" / vendor / "64" / file


def open_picture(path: Path, size: int = SIZE) -> Image.Image:
    """The picture on white, `size` pixels square, RGB."""
    return on_white(Image.open(path), size)


def on_white(picture: Image.Image, size: int = SIZE) -> Image.Image:
    picture = picture.convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    return ground.convert("RGB").resize((size, size), Image.LANCZOS)


def to_tensor(pictures: list[Image.Image]) -> torch.Tensor:
    """(B, 3, H, W) uint8."""
    return torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures])


def open_set(names: list[Emoji], package: Path, vendor: str) -> Tensor:
    """One set's pictures, (N, 3, 128, 128) uint8."""
    return to_tensor([open_picture(picture_path(package, vendor, name.file)) for name in names])


def bent(pictures: Tensor, draw: Generator) -> Tensor:
    """Turn, scale and shift pictures (B, 3, H, W) in 0..1 a little, each its own way, on white.

    A model that has seen only one picture of each name memorizes it, and breaks when a hypernetwork
    steers it away. Variations prevent that.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(len(pictures), *shape, generator=draw) * (high - low) + low

    turn, scale, shift = uniform(-0.05, 0.05), uniform(0.97, 1.1), uniform(-0.05, 0.05, 2)
    rows = [
        torch.stack([turn.cos() * scale, -turn.sin() * scale, shift[:, 0]], dim=1),
        torch.stack([turn.sin() * scale, turn.cos() * scale, shift[:, 1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pictures.shape), align_corners=False)
    return 1 - F.grid_sample(1 - pictures, grid, align_corners=False)
