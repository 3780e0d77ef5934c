"""What a training reads: pictures and captions of a pipeline, or batches that are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from ..network.spec import HypernetSpec
from ..training.auto import Choice, settle
from ..training.batches import Examples, prompts_of_run, stack
from ..training.diffusion import Batch
from ..training.given_latents import Given
from ..training.held_out import hold_out
from ..training.preservation import preserved_prompts
from ..training.probe import Probe
from ..training.settings import TrainSettings
from ..training.train import Others
from .encoders import encode_pairs, encode_prompts
from .trainable import Size, Trainable

BatchAt = Callable[[int, int], Batch]


class Material(NamedTuple):
    """What a training reads. probe and others are None where the settings do not ask for them."""

    batch_at: BatchAt
    probe: Probe | None = None
    others: Others = None  # prompts of other things
    regularization: BatchAt | None = None  # other pictures


def from_pairs(
    model: Trainable,
    pairs: Iterable[object],
    spec: HypernetSpec,
    settings: TrainSettings,
    size: Size,
    regularization: Iterable[object] | None = None,
) -> tuple[Choice, Material]:
    choice = settle(settings, spec, model.latent_size(size), model.prediction)
    settings = choice.settings
    examples = encode_examples(model, pairs, settings, size, settings.held_out)
    captions = [item.caption for item in examples.dataset.items]
    others = None
    if settings.preserve:
        texts = preserved_prompts(settings.preserve_prompts, captions, captions)
        others = stack(list(encode_prompts(model.encode_prompt, texts).values()))
    probe = examples.probe(settings.batch_size) if settings.probe_every else None
    beside = None
    if regularization is not None:
        beside = encode_examples(model, regularization, settings, size, held_out=0).batch_at
    return choice, Material(examples.batch_at, probe, others, beside)


def encode_examples(
    model: Trainable, pairs: Iterable[object], settings: TrainSettings, size: Size, held_out: int
) -> Examples:
    dataset, latents = encode_pairs(model.pipeline.vae, model.encode_picture, pairs, size)
    dataset = hold_out(dataset, held_out, settings.seed)
    return Examples(
        dataset=dataset,
        name="",
        seed=settings.seed,
        latents=latents,
        conditions=encode_prompts(model.encode_prompt, prompts_of_run(dataset, "", settings)),
        sampling=settings.latent_sampling,
    )


def from_batches(
    model: Trainable,
    batches: Iterable[object],
    spec: HypernetSpec,
    settings: TrainSettings,
    regularization: Iterable[object] | None = None,
) -> tuple[Choice, Material]:
    given = given_batches(model, batches, settings)
    rows, columns = given.latents[0].shape[-2:]
    choice = settle(without_prompts(settings), spec, (rows, columns), model.prediction)
    beside = None
    if regularization is not None:
        beside = given_batches(model, regularization, settings).batch_at
    return choice, Material(given.batch_at, regularization=beside)


def given_batches(model: Trainable, batches: Iterable[object], settings: TrainSettings) -> Given:
    """The samples of these batches. Raises TypeError or ValueError naming a batch that is wrong."""
    latents, conditions = [], []
    for number, batch in enumerate(batches, 1):
        match batch:
            case (Tensor() as pictures, Mapping() as condition) if "context" in condition:
                pass
            case _:
                raise TypeError(
                    f"Item {number} is no batch: a model alone takes (latents, {{'context': …}}). "
                    "Give a pipeline to train on pictures and captions."
                )
        model.check_batch(number, pictures, condition)
        latents += pictures.detach().float().cpu()
        rows = {key: value.detach().float().cpu() for key, value in condition.items()}
        conditions += [{key: value[k] for key, value in rows.items()} for k in range(len(pictures))]
    return Given(
        latents=latents, conditions=conditions, seed=settings.seed, batch_size=settings.batch_size
    )


def without_prompts(settings: TrainSettings) -> TrainSettings:
    """The settings for a model alone, which can encode no prompts and whose latents may differ in
    size. Raises ValueError."""
    if settings.preserve > 0:
        raise ValueError(
            f"preserve {settings.preserve:g} needs prompts, and a model alone cannot encode them: "
            "give a pipeline, or 0."
        )
    return replace(settings, preserve=0.0, batch_size=max(settings.batch_size, 1))
