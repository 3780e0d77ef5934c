"""The DeepDanbooru tagger, from the weights that A1111 users have: `model-resnet_custom_v3.pt`.

The file is a state dict of TorchDeepDanbooru: convolutions `n_Conv_0` … `n_Conv_178`, with batch
norms already folded in, and the names of all outputs under "tags". The network is a ResNet of six
stages of bottlenecks, for pictures (B, H, W, 3) in 0..1. Three surprises: padding is TensorFlow's
(a stride of 2 pads only right and below). The fourth stage changes the resolution but not the
width, and its shortcut is numbered after its block instead of before. Logits are computed at every
position of the picture and averaged before the sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ..captions.tags import Tag
from ..formats.pickle_check import check_pt

SIDE = 512  # pixels of the square that pictures are fitted into
STEM = 64  # channels
FILE = "model-resnet_custom_v3.pt"


@dataclass(frozen=True, kw_only=True)
class Stage:
    blocks: int
    width: int  # channels inside a bottleneck
    out: int
    stride: int = 2  # of the first block
    shortcut_first: bool = True


STAGES = (
    Stage(blocks=3, width=64, out=256, stride=1),
    Stage(blocks=8, width=128, out=512),
    Stage(blocks=20, width=256, out=1024),
    Stage(blocks=20, width=256, out=1024, shortcut_first=False),
    Stage(blocks=3, width=512, out=2048),
    Stage(blocks=3, width=1024, out=4096),
)


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """1×1, 3×3 and 1×1 convolutions, numbered first, first+1 and first+2, and their shortcut."""

    first: int
    shortcut: int | None
    channels: int
    width: int
    out: int
    stride: int


def bottlenecks() -> list[Bottleneck]:
    """All bottlenecks in order, with the numbers of their convolutions."""
    found, number, channels = [], 1, STEM
    for stage in STAGES:
        for place in range(stage.blocks):
            shortcut, first = None, number
            if place == 0:
                shortcut = number if stage.shortcut_first else number + 3
                first += stage.shortcut_first
            found.append(
                Bottleneck(
                    first=first,
                    shortcut=shortcut,
                    channels=channels,
                    width=stage.width,
                    out=stage.out,
                    stride=stage.stride if place == 0 else 1,
                )
            )
            number += 3 if shortcut is None else 4
            channels = stage.out
    return found


def convolutions(tags: int) -> dict[int, nn.Conv2d]:
    """All convolutions by number. Padding is added separately, in `forward`."""
    made = {0: nn.Conv2d(3, STEM, 7, stride=2)}
    for block in bottlenecks():
        made[block.first] = nn.Conv2d(block.channels, block.width, 1)
        made[block.first + 1] = nn.Conv2d(block.width, block.width, 3, stride=block.stride)
        made[block.first + 2] = nn.Conv2d(block.width, block.out, 1)
        if block.shortcut is not None:
            made[block.shortcut] = nn.Conv2d(block.channels, block.out, 1, stride=block.stride)
    made[len(made)] = nn.Conv2d(STAGES[-1].out, tags, 1, bias=False)
    return dict(sorted(made.items()))


class DeepDanbooru(nn.Module):
    """(B, H, W, 3) in 0..1, H and W of 128 or more → (B, tags) in 0..1."""

    def __init__(self, tags: int):
        super().__init__()
        self.blocks = bottlenecks()
        for number, convolution in convolutions(tags).items():
            self.add_module(f"n_Conv_{number}", convolution)
        self.last = len(list(self.children())) - 1

    def convolve(self, number: int, x: Tensor) -> Tensor:
        return self.get_submodule(f"n_Conv_{number}")(x)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.pad(pictures.permute(0, 3, 1, 2), (2, 3, 2, 3))
        x = F.relu(self.convolve(0, x))
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 3, stride=2)
        for block in self.blocks:
            past = x if block.shortcut is None else self.convolve(block.shortcut, x)
            x = F.relu(self.convolve(block.first, x))
            x = F.pad(x, (1, 1, 1, 1) if block.stride == 1 else (0, 1, 0, 1))
            x = F.relu(self.convolve(block.first + 1, x))
            x = F.relu(self.convolve(block.first + 2, x) + past)
        return self.convolve(self.last, x).mean(dim=(2, 3)).sigmoid()


class DeepDanbooruTagger:
    """Tags pictures with the weights in `file`. Names with `rating:` get that category.

    Raises ValueError naming the file if it is damaged or a different one.
    """

    def __init__(self, file: Path, device: torch.device):
        weights = read_weights(file)
        self.file = file
        self.names = weights.pop("tags")
        self.device = device
        with torch.device("meta"):
            model = DeepDanbooru(len(self.names))
        expected = {key: tensor.shape for key, tensor in model.state_dict().items()}
        wrong = [key for key in expected if getattr(weights.get(key), "shape", 0) != expected[key]]
        if wrong or (strange := weights.keys() - expected.keys()):
            named = ", ".join(wrong[:3] or sorted(map(str, strange))[:3])
            fault = f"{named} does not fit" if wrong else f"{named} does not belong there"
            raise ValueError(
                f"\"{file}\" is not DeepDanbooru's {FILE}: {fault}. Put TorchDeepDanbooru's "
                "file there."
            )
        weights = {key: tensor.float() for key, tensor in weights.items()}
        model.load_state_dict(weights, assign=True)
        self.model = model.eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image.Image]) -> list[tuple[Tag, ...]]:
        squares = np.stack([np.asarray(fit(picture), dtype=np.float32) for picture in pictures])
        scores = self.model(torch.from_numpy(squares / 255).to(self.device)).cpu()
        if not bool(scores.isfinite().all()):
            raise ValueError(f'"{self.file}" gives NaN: its weights are damaged. Get it again.')
        kinds = ["rating" if name.startswith("rating:") else "general" for name in self.names]
        return [tuple(map(Tag, self.names, row.tolist(), kinds)) for row in scores]


def read_weights(file: Path) -> dict:
    """The state dict with its list of tags. Raises ValueError with the reason if it has none."""
    with open(file, "rb") as opened:
        try:
            check_pt(opened)
            weights = torch.load(opened, map_location="cpu", weights_only=True)
        except Exception as fault:  # torch raises half a dozen types for damaged files
            lines = str(fault).splitlines() or [type(fault).__name__]
            raise ValueError(
                f'"{file}" cannot be read as DeepDanbooru\'s weights: {lines[0][:300]}. Put '
                f"TorchDeepDanbooru's {FILE} there."
            ) from fault
    tags = weights.get("tags") if isinstance(weights, dict) else None
    if not isinstance(tags, (list, tuple)) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError(
            f'"{file}" has no list of tags, so it is not DeepDanbooru\'s {FILE}. Put '
            "TorchDeepDanbooru's file there."
        )
    return dict(weights)


def fit(picture: Image.Image, side: int = SIDE) -> Image.Image:
    """The whole picture in the middle of a square, with its outermost pixels repeated around it."""
    across, down = (max(1, length * side // max(picture.size)) for length in picture.size)
    resized = picture.resize((across, down), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side, side))
    left, top = side // 2 - across // 2, side // 2 - down // 2
    square.paste(resized, (left, top))
    # A1111 stretches the border with a box of zero height (or width); Pillow then repeats the edge.
    if top > 0:
        for edge, place in ((0, 0), (down, top + down)):
            line = resized.resize((side, top), box=(0, edge, across, edge))
            square.paste(line, (0, place))
    if left > 0:
        for edge, place in ((0, 0), (across, left + across)):
            line = resized.resize((left, side), box=(edge, 0, edge, down))
            square.paste(line, (place, 0))
    return square
