"""Draws pictures with the tiny model, many prompts at a time, and puts them on labelled sheets."""

from __future__ import annotations

from pathlib import Path

import torch
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.sampling import sample
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

MODEL = Path(__file__).parent / "tiny-sd"
WIDTHS = "48, 96, 112, 128"  # of its attention layers; 96 is the width of the text
STEPS, CFG = 24, 4.0


def draw(
    model,
    clip,
    vae,
    prompts: list[str],
    *,
    seed: int = 0,
    batch: int = 16,
    cfg: float = CFG,
    steps: int = STEPS,
    sampler: str = "euler",
) -> Tensor:
    """Pictures (N, 128, 128, 3) in 0..1, one per prompt. The noise depends on seed and batch."""
    empty = clip.encode("")[0]
    pictures = []
    for first in range(0, len(prompts), batch):
        words = torch.cat([clip.encode(text)[0] for text in prompts[first : first + batch]])
        latents = sample(
            model,
            [[words, {}]],
            [[empty, {}]],
            torch.zeros(len(words), 4, 16, 16),
            seed=seed + first,
            steps=steps,
            cfg=cfg,
            sampler=sampler,
            shown=False,
        )
        pictures.append(vae.decode(latents))
    return torch.cat(pictures)


def to_image(picture: Tensor) -> Image.Image:
    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().cpu().numpy())


def sheet(columns: list[list[Image.Image]], words: list[str], heads: list[str]) -> Image.Image:
    """A sheet with columns of pictures under their heads, and words to the left of each row."""
    size, left, top = 128, 150, 30
    page = Image.new("RGB", (left + size * len(columns), top + size * len(words)), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=15)
    for i, head in enumerate(heads):
        pen.text((left + size * i + size // 2, top // 2), head, "black", font, anchor="mm")
    for row, text in enumerate(words):
        middle = top + size * row + size // 2
        pen.multiline_text((left - 12, middle), wrapped(text), "black", font, anchor="rm")
        for i, column in enumerate(columns):
            page.paste(column[row].resize((size, size)), (left + size * i, top + size * row))
    return page


def contact_sheet(pictures: list[Image.Image], words: list[str], across: int = 8) -> Image.Image:
    """A sheet with pictures in rows, each above its words."""
    size, foot = 128, 34
    down = -(-len(pictures) // across)
    page = Image.new("RGB", (across * size, down * (size + foot)), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=12)
    for i, (picture, text) in enumerate(zip(pictures, words, strict=True)):
        x, y = i % across * size, i // across * (size + foot)
        page.paste(picture.resize((size, size)), (x, y))
        middle = (x + size // 2, y + size + foot // 2)
        pen.multiline_text(middle, wrapped(text, 20), "black", font, anchor="mm", align="center")
    return page


def wrapped(text: str, width: int = 18) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:3])


COMMON = [
    "red heart", "grinning face", "pizza", "dog", "cat", "star", "sun", "rainbow",
    "red apple", "banana", "strawberry", "automobile", "rocket", "house building", "deciduous tree",
    "evergreen tree", "fish", "octopus", "penguin", "panda face", "fire", "snowman", "umbrella",
    "guitar", "trumpet", "soccer ball", "basketball and hoop", "birthday cake", "hamburger",
    "hot beverage", "rose", "sunflower", "ghost", "skull", "crown", "gem stone", "wrench", "key",
    "teddy bear", "bulb", "airplane", "bicycle", "sailboat", "clown face", "thumbs up sign",
    "eyes", "blue heart", "crying face",
]  # fmt: skip


def main() -> None:
    model, clip, vae = load_checkpoint(MODEL)
    pictures = [to_image(picture) for picture in draw(model, clip, vae, COMMON)]
    contact_sheet(pictures, COMMON).save(MODEL / "contact_sheet.jpg", quality=72)


if __name__ == "__main__":
    main()
