"""Forgetting less: by other prompts, and by other pictures.

Output preservation: on other prompts the model shall draw as it does without the network.

Training shows the network only what it shall change, so it also changes quite other things. Every
n-th batch is therefore followed by one of everyday things, where what the model predicts is drawn
to what the bare model predicts, the teacher:

    weight · mean((prediction with the network − prediction without)²)

The teacher is the same frozen model without the network, so it takes no memory. After learning
without forgetting (Li & Hoiem 2016). The surprise: it also draws the pictures. With the pictures to
learn, the network would be held back from what it shall do to such pictures.

Regularization pictures, as DreamBooth has them (Ruiz et al. 2022), are learnt beside the others. In
kohya's trainers as many of them are shown as of the others, each with prior_loss_weight. Here one
batch of them follows every second batch and counts twice, which is the same on average:

    loss(pictures) + regularization_weight · loss(regularization pictures)

for 1.5 times the time, not twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import cycle, islice

import torch
from torch import Tensor

from ..apply.training_network import TrainingNetwork
from ..captions.tags import SMALL_WORDS
from ..seeding import generator, sample_order
from .diffusion import (
    Asked,
    Batch,
    BatchAt,
    Denoiser,
    add_noise,
    answer,
    predicted,
    shifted,
    taken_apart,
)
from .settings import TrainSettings

PROMPTS = 256
DRAWN = 32  # pictures of other things, or up to a whole batch more
DRAWING_STEPS = 8
REGULARIZE_EVERY = 2  # batches per batch of regularization pictures

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


KINDS = {  # of pictures: prompts share these words, and they name no subject
    "art", "artwork", "drawing", "illustration", "image", "painting", "photo", "photograph",
    "photography", "picture", "portrait", "render", "sketch", "style",
}  # fmt: skip


def preserved_prompts(text: str, captions: Iterable[str], prompts: Iterable[str]) -> list[str]:
    """The prompts to preserve: the user's own, one a line, or those of everyday things.

    The empty prompt is always one of them. text: what the user typed, "" for everyday things.
    captions, prompts: of the pictures to learn. Raises ValueError quoting lines of the user's that
    name the subject.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return other_prompts(captions)
    subject = words_of_subject(prompts)
    if named := {line: found[0] for line in lines if (found := sorted(subject & words_in(line)))}:
        quoted = "; ".join(f'"{line}" ("{word}")' for line, word in named.items())
        raise ValueError(
            f"preserve_prompts {quoted}: these words are in the prompts of all pictures, so they "
            "name what shall be learnt. Take the lines out, or write them without these words."
        )
    return list(dict.fromkeys(["", *lines]))


def words_of_subject(prompts: Iterable[str]) -> set[str]:
    """The words that name what is learnt, as a trigger word does.

    They are in the prompts of all pictures. Names of everyday things and of kinds of pictures are
    left out if there are others: of "photo of sks dog" only "sks", so that dogs can be preserved.
    """
    found = [words_in(prompt) for prompt in dict.fromkeys(prompts) if prompt.strip()]
    shared = set.intersection(*found) - SMALL_WORDS if found else set()
    everyday = {word for word in shared if word in WORDS or word.removesuffix("s") in WORDS}
    return shared - everyday - KINDS or shared - KINDS


def words_in(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def is_due(settings: TrainSettings, count: int) -> bool:
    """Is batch number `count` followed by one with other prompts?"""
    return settings.preserve > 0 and count % settings.preserve_every == 0


def is_regularized(count: int) -> bool:
    """Is batch number `count` followed by one of regularization pictures, if there are any?"""
    return count % REGULARIZE_EVERY == 1  # not where the prompts' turn is, if both are few


def regularization_samples(settings: TrainSettings) -> int:
    """How many regularization pictures the run shows, one after the other."""
    batches = settings.steps * settings.accumulation
    return batches // REGULARIZE_EVERY * settings.batch_size


def pictures_of_others(
    denoiser: Denoiser,
    others: Mapping[str, Tensor] | None,
    batch_at: BatchAt,
    settings: TrainSettings,
) -> Callable[[int], Batch] | None:
    """A function that gives the batch of pictures of other things whose turn it is; None without
    prompts of them.

    There are DRAWN pictures, shown again and again. A batch is drawn at its first turn, in the size
    of the first pictures to learn. others: encoded prompts, as draw_others has them.
    """
    if others is None:
        return None
    size = settings.batch_size

    @cache
    def shape() -> torch.Size:
        return batch_at(0, size).latents.shape

    @cache
    def drawn(place: int) -> Batch:
        return draw_others(denoiser, others, shape(), settings.seed, place)

    return lambda turn: drawn(turn % math.ceil(DRAWN / size))


@torch.no_grad()
def draw_others(
    denoiser: Denoiser, others: Mapping[str, Tensor], shape: torch.Size, seed: int, place: int
) -> Batch:
    """Batch number `place` of pictures (B, c, …) as the bare model draws them, with their prompts.

    others: encoded prompts, "context" (N, T, C) and so on. Drawn by DDIM (Song et al. 2021) without
    guidance: the clean latents and the noise that the model finds are mixed again with less noise.
    """
    number, size, last = len(others["context"]), shape[0], len(denoiser.levels) - 1
    rows = sample_order(seed, number, place * size, size)
    condition = {key: each[rows] for key, each in others.items()}
    latents = torch.zeros(shape)
    noise = torch.randn(shape, generator=generator(seed, "others", place))
    shares = torch.arange(DRAWING_STEPS, 0, -1) / DRAWING_STEPS
    for share in shifted(shares, denoiser.shift(shape)):
        timesteps = (last * share).round().long().expand(size)
        found, _ = predicted(denoiser, Batch(latents, condition), noise, timesteps, None)
        levels = denoiser.levels.at(timesteps)
        noisy = add_noise(latents, noise, levels)
        latents, noise = taken_apart(denoiser.prediction, noisy, found.cpu(), levels)
    return Batch(latents, condition)


def preservation_loss(denoiser: Denoiser, question: Asked, acting: TrainingNetwork) -> Tensor:
    """How far the network moves what the model says, a scalar with its graph."""
    with torch.no_grad():
        wanted = answer(denoiser, question, None)
    return (answer(denoiser, question, acting) - wanted).square().mean()
