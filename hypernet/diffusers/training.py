"""Trains a network on a diffusers pipeline, in your own script.

The pipeline provides the frozen model, its noise levels and its encoders. Everything else (order,
noise, schedule, probe, going back after a blow-up) comes from training/, so the same seed makes the
same updates here and in a host.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..apply.patches import attention_widths
from ..devices import as_tensors_name_it
from ..families import take_census
from ..network.for_model import Streams, fitted, usual_structure, widths_of
from ..network.hypernetwork import Hypernetwork, Record
from ..network.spec import HypernetSpec
from ..training.auto import Choice
from ..training.learner import Learner
from ..training.settings import TrainSettings
from ..training.train import Step
from ..training.train import train as updates
from .encoders import Pair
from .hooks import find_models, find_unet, is_unet
from .material import Material, from_batches, from_pairs
from .trainable import Size, Trainable
from .trainable_transformer import TrainableTransformer
from .trainable_unet import TrainableUnet

Encoded = tuple[Tensor, Mapping[str, Tensor]]  # latents (B, c, …) and their condition


@torch.inference_mode(False)
def train(
    pipeline_or_model: Any,
    items: Iterable[Pair] | Iterable[Encoded],
    spec: HypernetSpec,
    settings: TrainSettings,
    *,
    size: Size | None = None,
    scheduler: Any = None,
    device: torch.device | str | None = None,
    name: str = "",
    regularization: Iterable[Pair] | Iterable[Encoded] | None = None,
) -> Training:
    """An iterator of Steps, one per update, whose `network` holds what has been learnt:

        spec = spec_for(pipeline, activation="relu")
        training = train(pipeline, [("fox.png", "a fox")], spec, TrainSettings(steps=500))
        for step in training:
            print(step.done, step.loss)
        save_network(training.network, "foxes.safetensors")

    items: for a pipeline of Stable Diffusion 1, 2 or XL, or of a transformer, pairs of a picture (a
    PIL image or the path of a file) and its caption. They are encoded before this function returns.
    For a UNet or transformer alone, batches of latents as the model sees them and a condition with
    "context" (B, T, C). Latents are (B, c, h, w), or (B, c, 1, h, w) for a model that knows videos.
    SDXL, SD3 and Flux.1 also read "pooled" (B, P). The samples are shuffled.

    size: training width and height in pixels; None for the pipeline's own. scheduler: provides the
    noise levels of a UNet; None for the pipeline's. A UNet alone needs one, a transformer none, as
    all of them learn by flow matching. device: where to train; None for where the model is. With
    settings.offload, the model's blocks visit it. name: of the network. regularization: other
    pictures to learn beside these, given as items are; see settings.regularization_weight. Saving
    is up to the caller, whatever the settings say about it. What the settings leave open is chosen
    here; `training.choice` says what and why.

    Raises TypeError if something is no model, pipeline, pair or batch, and ValueError if a model,
    size or picture can't be used for training. If this model can't do what the settings ask for,
    the first Step raises ValueError. Any Step can raise TrainingDiverged.
    """
    model = trainable(pipeline_or_model, scheduler)
    model.check_spec(spec)
    if model.pipeline is None:
        choice, material = from_batches(model, items, spec, settings, regularization)
    else:
        size = model.training_size(size)
        choice, material = from_pairs(model, items, spec, settings, size, regularization)
    device = as_tensors_name_it(model.device if device is None else torch.device(device))
    record = Record(name=name, architecture=model.architecture)
    record.curve = settings.strength_curve
    learner = Learner(Hypernetwork(spec, record).to(device), choice.settings)
    return Training(learner, choice, _steps(model, device, learner, material))


class Training(Iterator[Step]):
    """An iterator of Steps. `network` is what has been learnt so far, to use and to save; `choice`
    has the settings, with nothing open.

    From the first Step to the last, the model is frozen and computes with the network. The pipeline
    can still generate pictures between two Steps. `close` restores the model earlier.
    """

    def __init__(self, learner: Learner, choice: Choice, steps: Generator[Step]) -> None:
        self.choice = choice
        self._learner = learner
        self._steps = steps

    @property
    def network(self) -> Hypernetwork:
        """The trained network, or its moving average if settings.ema asks for one."""
        return self._learner.result

    def __next__(self) -> Step:
        # not inside the generator: between two Steps the caller would be left in these modes
        with torch.inference_mode(False), torch.enable_grad():
            return next(self._steps)

    def close(self) -> None:
        with torch.inference_mode(False):
            self._steps.close()


def _steps(
    model: Trainable, device: torch.device, learner: Learner, material: Material
) -> Generator[Step]:
    with model.denoiser(device, learner.settings) as opened:
        batch_at, probe, others, regularization = material
        yield from updates(
            learner, opened, batch_at, probe, others=others, regularization=regularization
        )


def trainable(pipeline_or_model: Any, scheduler: Any = None) -> Trainable:
    """The model. Raises TypeError or ValueError if it can't be used for training here."""
    alone = isinstance(pipeline_or_model, nn.Module)
    pipeline = None if alone else pipeline_or_model
    model = pipeline_or_model if alone else getattr(pipeline, "transformer", None)
    if isinstance(model, nn.Module) and is_transformer(model):
        if getattr(pipeline, "transformer_2", None) is not None:
            raise ValueError(
                f"{type(pipeline).__name__} has two transformers, one for much noise and one for "
                "little: train on one of them alone, with batches of latents."
            )
        return TrainableTransformer(model, pipeline)
    return TrainableUnet(find_unet(pipeline_or_model), pipeline, scheduler)


def is_transformer(model: nn.Module) -> bool:
    kind = type(getattr(model, "_orig_mod", model))
    return kind.__module__.startswith("diffusers.models.transformers.")


def streams_of(pipeline_or_model: Any) -> Streams:
    """The widths of each stream of the model that a network would act on."""
    return architecture_and_streams(pipeline_or_model)[1]


def architecture_and_streams(pipeline_or_model: Any) -> tuple[str, Streams]:
    model = find_models(pipeline_or_model)[0]
    if is_unet(model):
        return "", attention_widths(model)
    census = take_census(model)
    return census.architecture, census.widths()


def every_width(pipeline_or_model: Any) -> tuple[int, ...]:
    """All widths that a network for this pipeline or model can have."""
    return widths_of(streams_of(pipeline_or_model))


def spec_for(
    pipeline_or_model: Any, *, places: Sequence[str] = (), groups: int = 1, **changes: Any
) -> HypernetSpec:
    """A spec for this pipeline or model, with all its widths and the usual layer structure.

    places: of a transformer, such as "image"; all but refiners if empty. groups: equal parts of a
    transformer's depth, each with MLPs of its own. changes: fields of HypernetSpec. Raises
    ValueError for widths or places that the model does not have.
    """
    architecture, streams = architecture_and_streams(pipeline_or_model)
    given: dict[str, Any] = {"layer_structure": usual_structure(streams)} | changes
    every = "widths" not in changes
    spec = HypernetSpec(**given)
    return fitted(
        spec, streams, every_width=every, chosen=places, groups=groups, architecture=architecture
    )
