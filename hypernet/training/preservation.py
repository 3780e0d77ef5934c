"""Output preservation: on other prompts the model shall draw as it does without the network.

Training shows the network only what it shall change, so it also changes quite other things. On
every n-th batch the pictures therefore get the prompts of everyday things, and what the model
predicts is drawn to what the bare model predicts, the teacher:

    weight · mean((prediction with the network − prediction without)²)

The teacher is the same frozen model without the network, so it takes no memory. After learning
without forgetting (Li & Hoiem 2016); others preserve with pictures, as DreamBooth does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import cycle, islice

import torch
from torch import Tensor

from ..apply.training_network import TrainingNetwork
from ..seeding import sample_order
from .diffusion import Batch, Denoiser, predicted
from .settings import TrainSettings

PROMPTS = 256

WORDS = (
    "dog", "cat", "horse", "cow", "sheep", "goat", "rabbit", "mouse", "bear", "wolf", "fox",
    "lion", "tiger", "elephant", "monkey", "deer", "duck", "hen", "owl", "eagle", "parrot",
    "penguin", "frog", "turtle", "snake", "lizard", "bee", "ant", "butterfly", "spider",
    "shark", "dolphin", "lobster", "apple", "banana", "orange", "lemon", "pear", "peach",
    "cherry", "strawberry", "melon", "tomato", "potato", "carrot", "onion", "garlic", "pepper",
    "mushroom", "corn", "cheese", "egg", "rice", "noodles", "soup", "pizza", "burger", "cake",
    "cookie", "chocolate", "honey", "milk", "coffee", "tea", "juice", "wine", "chair", "table",
    "bed", "lamp", "door", "window", "mirror", "clock", "book", "pen", "pencil", "scissors",
    "hammer", "key", "lock", "box", "bag", "basket", "cup", "bottle", "glass", "plate", "pot",
    "brush", "broom", "candle", "umbrella", "rope", "shirt", "dress", "shoe", "hat", "glove",
    "scarf", "sock", "jacket", "ring", "crown", "car", "bus", "truck", "train", "bicycle",
    "boat", "ship", "rocket", "bridge", "road", "house", "church", "castle", "tower", "tent",
    "garden", "park", "street", "city", "village", "farm", "beach", "desert", "forest", "river",
    "lake", "island", "field", "sky", "fire", "water", "wind", "rainbow", "storm", "flower",
    "rose", "leaf", "grass", "cactus", "guitar", "drum", "violin", "trumpet", "bell",
    "football", "tennis", "chess", "kite", "doll", "robot", "money", "letter", "map", "flag",
    "phone", "radio", "television", "battery", "ladder", "wheel", "engine", "man", "woman",
    "child", "king", "doctor", "teacher", "soldier", "dancer",
)  # fmt: skip


def other_prompts(captions: Iterable[str]) -> list[str]:
    """Prompts of one to three everyday things, always the same, and the empty one.

    Words that a caption has are left out: those things shall be changed.
    """
    learnt = {word for text in captions for word in re.findall(r"\w+", text.lower())}
    words = [word for word in WORDS if not {word, word + "s"} & learnt]
    made, first = [""], 0
    for number in islice(cycle((1, 2, 3)), PROMPTS - 1):
        places = sample_order(0, len(words), first, number)
        made.append(" ".join(words[place] for place in places))
        first += number
    return list(dict.fromkeys(made))


def is_due(settings: TrainSettings, count: int) -> bool:
    """Is batch number `count` followed by one with other prompts?"""
    return settings.preserve > 0 and count % settings.preserve_every == 0


def with_other_prompts(batch: Batch, others: Mapping[str, Tensor], draw: torch.Generator) -> Batch:
    """The pictures of a batch, each with one of these prompts: "context" (N, T, C) and so on."""
    (number, *_) = others["context"].shape
    rows = torch.randint(number, (len(batch.latents),), generator=draw)
    of_pictures = {key: each for key, each in batch.condition.items() if key == "sizes"}
    return Batch(batch.latents, {**of_pictures, **{key: e[rows] for key, e in others.items()}})


def preservation_loss(
    denoiser: Denoiser,
    batch: Batch,
    noise: Tensor,
    timesteps: Tensor,
    acting: TrainingNetwork,
) -> Tensor:
    """How far the network moves the prediction for this batch, a scalar with its graph.

    noise (B, c, …) and timesteps (B,) are on the CPU.
    """
    with torch.no_grad():
        wanted, _ = predicted(denoiser, batch, noise, timesteps, None)
    found, _ = predicted(denoiser, batch, noise, timesteps, acting)
    return (found - wanted).square().mean()
