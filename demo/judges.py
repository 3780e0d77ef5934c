"""Two small classifiers of pictures: in whose style is it drawn, and what kind of thing is it?

The style judge has three classes: Noto, Twemoji, and neither. Burnt, noisy, jumbled or smeared
pictures are "neither". A picture's style score is the probability of "twemoji", so a network can't
score by breaking pictures. The content judge names the subcategory, in either style. Both look at
64 by 64 pixels. Both were trained on pictures that went through the tiny model's VAE
(train_judges.py), so they don't take the VAE's softness for a style.

    judges.safetensors    the weights of both in fp16, "style.*" and "content.*"
    judges.json           {subcategories, classifier_accuracy, and other measurements}
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
KEPT = 512  # how many of the BINS³ bins a judge uses: most are empty in every picture
STYLES = ("noto", "twemoji", "neither")


class Judge(nn.Module):
    """Maps (B, 3, 64, 64) in 0..1 to logits (B, classes).

    It has three kinds of features: the colour histogram, single colours, which reveal a set's
    palette, and shapes, by their mean, maximum and spread. In eval mode the logits are the mean for
    the picture and its mirror image. `kept`: the histogram's bins to use. 0.13 M parameters for
    three classes, 0.14 M for the subcategories with half of the bins.
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
        return self.decide(self.features(pictures))

    def features(self, pictures: Tensor) -> Tensor:
        """What the decision is made from, (B, 432)."""
        pixels = self.pixels(F.avg_pool2d(pictures, 2) * 2 - 1).flatten(2)
        shapes = self.shapes(pictures * 2 - 1).flatten(2)
        found = [
            self.colours(histogram(pictures)[:, self.kept]),
            *(pixels.mean(dim=2), pixels.amax(dim=2)),
            *(shapes.mean(dim=2), shapes.amax(dim=2), shapes.std(dim=2)),
        ]
        return torch.cat(found, dim=1)


def histogram(pictures: Tensor) -> Tensor:
    """The square root of each colour's share, (B, BINS³). Each pixel is spread over nearby bins.

    The root (Hellinger distance) lets a small part such as a mouth count beside a whole face.
    """
    pixels = F.avg_pool2d(pictures, 2).flatten(2).unsqueeze(2) * (BINS - 1)
    places = torch.arange(BINS, device=pictures.device).view(1, 1, -1, 1)
    red, green, blue = (1 - (pixels - places).abs()).clamp(min=0).unbind(1)  # (B, BINS, pixels)
    pairs = (red.unsqueeze(2) * green.unsqueeze(1)).flatten(1, 2)
    shares = pairs @ blue.mT / pixels.shape[-1]
    return (shares.flatten(1) + 1e-6).sqrt() * 4


def fullest_bins(pictures: Tensor) -> Tensor:
    """The histogram's KEPT fullest bins over pictures (B, 3, 64, 64) uint8."""
    parts = [histogram(part.float() / 255).sum(dim=0) for part in pictures.split(64)]
    return torch.stack(parts).sum(dim=0).topk(KEPT).indices.sort().values


def block(inward: int, outward: int, *, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inward, outward, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outward), nn.ReLU()]


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Both judges. They take pictures (B, H, W, 3) in 0..1, like a host's IMAGE."""

    style_judge: Judge
    content_judge: Judge
    subcategories: tuple[str, ...]
    classifier_accuracy: float  # of the style judge, on real pictures of held-out names

    @torch.no_grad()
    def styles(self, pictures: Tensor) -> Tensor:
        """The probabilities of STYLES, (B, 3)."""
        return self.style_judge(seen(pictures)).softmax(dim=1)

    def style(self, pictures: Tensor) -> Tensor:
        """The probability that each picture is an undamaged one of Twemoji, (B,)."""
        return self.styles(pictures)[:, STYLES.index("twemoji")]

    @torch.no_grad()
    def subcategory(self, pictures: Tensor) -> list[str]:
        """The subcategory of each picture, as held_out/names.json names it."""
        found = self.content_judge(seen(pictures)).argmax(dim=1)
        return [self.subcategories[i] for i in found.tolist()]


def seen(pictures: Tensor) -> Tensor:
    """Resize pictures (B, H, W, 3) in 0..1 to the judges' input, (B, 3, 64, 64)."""
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
