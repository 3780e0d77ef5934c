"""Two small judges of pictures: whose hand drew this, and what kind of thing is it?

The style judge knows three classes: Noto, Twemoji, and neither, which is what burnt, noisy, jumbled
or smeared pictures are. A picture's style score is the probability of "twemoji", so a network can't
win by breaking pictures. The content judge names the subcategory, in either hand. Both look at 64
by 64 pixels; both learnt on pictures that went through the tiny model's VAE (train_judges.py), so
they don't take the VAE's softness for a style.

    judges.safetensors    the weights of both, fp16, "style.*" and "content.*"
    judges.json           {subcategories, classifier_accuracy, and what else was measured}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "judges"
SIDE = 64  # pixels that a judge looks at
BINS = 16  # of the colour histogram, for each of red, green and blue
KEPT = 512  # of these BINS³ that a judge looks at: most are empty in every picture
STYLES = ("noto", "twemoji", "neither")


class Judge(nn.Module):
    """(B, 3, 64, 64) in 0..1 to (B, classes) logits; 0.13 M parameters for three classes,
    0.14 M for the subcategories, with half of the bins.

    Three looks: at the shares of all colours, at single colours that tell a set's palette, and at
    the shapes: on average, at their clearest, and how much they vary. Once trained, a judge looks
    at the picture and at its mirror image. `kept` are the histogram's bins that count.
    """

    def __init__(self, classes: int, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept.int())
        self.colours = nn.Sequential(nn.Linear(len(kept), 48), nn.ReLU())
        self.pixels = nn.Sequential(
            nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 48, 1), nn.BatchNorm2d(48), nn.ReLU()
        )
        self.shapes = nn.Sequential(
            *block(3, 24, kernel=5, stride=2),
            *block(24, 48, kernel=3, stride=2),
            *block(48, 64, kernel=3, stride=2),
            *block(64, 96, kernel=3, stride=1),
        )
        self.decide = nn.Linear(48 + 2 * 48 + 3 * 96, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        if self.training:
            return self.look(pictures)
        return (self.look(pictures) + self.look(pictures.flip(-1))) / 2

    def look(self, pictures: Tensor) -> Tensor:
        pixels = self.pixels(F.avg_pool2d(pictures, 2) * 2 - 1).flatten(2)
        shapes = self.shapes(pictures * 2 - 1).flatten(2)
        found = [
            self.colours(histogram(pictures)[:, self.kept]),
            *(pixels.mean(dim=2), pixels.amax(dim=2)),
            *(shapes.mean(dim=2), shapes.amax(dim=2), shapes.std(dim=2)),
        ]
        return self.decide(torch.cat(found, dim=1))


def histogram(pictures: Tensor) -> Tensor:
    """(B, BINS³): the root of each colour's share, every pixel spread over its nearest bins.

    The root (Hellinger's distance) lets a mouth count beside a whole face.
    """
    pixels = F.avg_pool2d(pictures, 2).flatten(2).unsqueeze(2) * (BINS - 1)
    places = torch.arange(BINS, device=pictures.device).view(1, 1, -1, 1)
    red, green, blue = (1 - (pixels - places).abs()).clamp(min=0).unbind(1)  # (B, BINS, pixels)
    pairs = (red.unsqueeze(2) * green.unsqueeze(1)).flatten(1, 2)
    shares = pairs @ blue.mT / pixels.shape[-1]
    return (shares.flatten(1) + 1e-6).sqrt() * 4


def fullest_bins(pictures: Tensor) -> Tensor:
    """(KEPT,): the histogram's bins that matter most in (B, 3, 64, 64) uint8."""
    parts = [histogram(part.float() / 255).sum(dim=0) for part in pictures.split(64)]
    return torch.stack(parts).sum(dim=0).topk(KEPT).indices.sort().values


def block(inward: int, outward: int, *, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inward, outward, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outward), nn.ReLU()]


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Both judges. They take pictures (B, H, W, 3) in 0..1, as hosts hand them round."""

    style_judge: Judge
    content_judge: Judge
    subcategories: tuple[str, ...]
    classifier_accuracy: float  # of the style judge, on real pictures of names it never saw

    @torch.no_grad()
    def styles(self, pictures: Tensor) -> Tensor:
        """(B, 3): the probabilities of STYLES."""
        return self.style_judge(seen(pictures)).softmax(dim=1)

    def style(self, pictures: Tensor) -> Tensor:
        """(B,): how probably Twemoji drew it, and unharmed."""
        return self.styles(pictures)[:, STYLES.index("twemoji")]

    @torch.no_grad()
    def subcategory(self, pictures: Tensor) -> list[str]:
        """What kind of thing each picture shows, in the words of held_out/names.json."""
        found = self.content_judge(seen(pictures)).argmax(dim=1)
        return [self.subcategories[i] for i in found.tolist()]


def seen(pictures: Tensor) -> Tensor:
    """(B, H, W, 3) in 0..1, whatever its size, as the judges look at it: (B, 3, 64, 64)."""
    pictures = pictures.detach().float().clamp(0, 1).movedim(-1, 1)
    return F.interpolate(pictures, (SIDE, SIDE), mode="area")


def load_judges(folder: Path = FOLDER) -> Judges:
    weights, record = load_file(folder / "judges.safetensors"), read_record(folder)
    return Judges(
        style_judge=with_weights(len(STYLES), weights, "style."),
        content_judge=with_weights(len(record["subcategories"]), weights, "content."),
        subcategories=tuple(record["subcategories"]),
        classifier_accuracy=record["classifier_accuracy"],
    )


def read_record(folder: Path = FOLDER) -> dict:
    return json.loads((folder / "judges.json").read_text("utf-8"))


def with_weights(classes: int, weights: dict[str, Tensor], prefix: str) -> Judge:
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    judge = Judge(classes, own["kept"])
    judge.load_state_dict(own)
    return judge.eval().requires_grad_(False)


def save_judges(folder: Path, style: Judge, content: Judge, record: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    both = {f"style.{k}": v for k, v in style.state_dict().items()}
    both |= {f"content.{k}": v for k, v in content.state_dict().items()}
    halved = {k: v.half() if v.is_floating_point() else v for k, v in both.items()}
    save_file({k: v.contiguous() for k, v in halved.items()}, folder / "judges.safetensors")
    (folder / "judges.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
