"""Trains a network on a diffusers pipeline, in your own script.

The pipeline provides the frozen UNet, its noise levels and its encoders. Everything else (order,
noise, schedule, probe, going back after a blow-up) comes from training/, so the same seed makes the
same updates here and in a host.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from ..apply.patches import attention_widths
from ..devices import as_tensors_name_it
from ..network.hypernetwork import Hypernetwork, Record
from ..network.spec import HypernetSpec, listed
from ..pictures.latent_size import PIXELS
from ..training.auto import Choice, settle
from ..training.batches import Examples, prompts_of_run, stack
from ..training.diffusion import Batch
from ..training.given_latents import Given
from ..training.held_out import hold_out
from ..training.learner import Learner
from ..training.preservation import other_prompts
from ..training.probe import Probe
from ..training.settings import TrainSettings
from ..training.train import Others, Step
from ..training.train import train as updates
from .denoiser import PREDICTIONS, denoiser, placed
from .encoders import Pair, Size, encode_pairs, encode_prompts, training_size
from .hooks import attention_layers, find_unet
from .unet import patched_attention, takes_sizes

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

CPU = torch.device("cpu")

Encoded = tuple[Tensor, Mapping[str, Tensor]]  # latents (B, c, h, w) and their condition
BatchAt = Callable[[int, int], Batch]


@torch.inference_mode(False)
def train(
    pipeline_or_unet: Any,
    items: Iterable[Pair] | Iterable[Encoded],
    spec: HypernetSpec,
    settings: TrainSettings,
    *,
    size: Size | None = None,
    scheduler: Any = None,
    device: torch.device | str | None = None,
    name: str = "",
) -> Training:
    """An iterator of Steps, one per update, whose `network` holds what has been learnt:

        spec = HypernetSpec(widths=every_width(pipeline), activation="relu")
        training = train(pipeline, [("fox.png", "a fox")], spec, TrainSettings(steps=500))
        for step in training:
            print(step.done, step.loss)
        save_network(training.network, "foxes.pt")

    items: for a pipeline of Stable Diffusion 1, 2 or XL, pairs of a picture (a PIL image or the
    path of a file) and its caption. They are encoded before this function returns. For a UNet
    alone, batches of latents (B, c, h, w), multiplied by the VAE's scaling factor, and a condition
    with "context" (B, T, C) and, for SDXL, "pooled" (B, P). Their samples are shuffled.

    size: training width and height in pixels; None for the pipeline's own. scheduler: provides the
    noise levels; None for the pipeline's. A UNet alone needs one. device: where to train; None for
    where the UNet is. With settings.offload, the UNet's blocks visit it. name: of the network.
    Saving is up to the caller, whatever the settings say about it. What the settings leave open is
    chosen here; `training.choice` says what and why.

    Raises TypeError if something is no UNet, pipeline, pair or batch, and ValueError if a model,
    size or picture can't be used for training. If this model can't do what the settings ask for,
    the first Step raises ValueError. Any Step can raise TrainingDiverged.
    """
    model = find_unet(pipeline_or_unet)
    pipeline = None if model is pipeline_or_unet else pipeline_or_unet
    unet = checked_model(model, pipeline)
    check_widths(spec, unet)
    levels = noise_levels(scheduler or getattr(pipeline, "scheduler", None))
    if pipeline is None:
        choice, material = from_batches(unet, items, spec, settings)
    else:
        choice, material = from_pairs(
            pipeline, items, spec, settings, training_size(pipeline, size)
        )
    device = as_tensors_name_it(unet.device if device is None else torch.device(device))
    learner = Learner(Hypernetwork(spec, Record(name=name)).to(device), choice.settings)
    return Training(learner, choice, _steps(unet, levels, device, learner, material))


class Training(Iterator[Step]):
    """An iterator of Steps. `network` is what has been learnt so far, to use and to save; `choice`
    has the settings, with nothing open.

    From the first Step to the last, the UNet is frozen and its attention layers call patches. The
    pipeline can still generate pictures between two Steps. `close` restores the UNet earlier.
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
    unet: UNet2DConditionModel,
    levels: tuple[Tensor, str],
    device: torch.device,
    learner: Learner,
    material: Material,
) -> Generator[Step]:
    settings = learner.settings
    with (
        patched_attention(unet),
        placed(unet, CPU if settings.offload else device),
        denoiser(
            unet,
            *levels,
            device,
            dtype=settings.arithmetic,
            offload=settings.offload,
            compiled=warnings.warn if settings.compile else None,
            loaded=nullcontext if settings.offload else partial(placed, unet, device),
        ) as opened,
    ):
        batch_at, probe, others = material
        yield from updates(learner, opened, batch_at, probe, others=others)


def every_width(pipeline_or_unet: Any) -> tuple[int, ...]:
    """All widths that a network for this pipeline or UNet can have."""
    kinds = attention_widths(find_unet(pipeline_or_unet))
    return tuple(sorted({width for widths in kinds.values() for width in widths}))


# --- what is refused -----------------------------------------------------------------------------


def is_unet(module: nn.Module) -> TypeGuard[UNet2DConditionModel]:
    """Has it the parts of a UNet2DConditionModel? A compiled one is of another class."""
    config = getattr(module, "config", None)
    return hasattr(config, "addition_embed_type") and hasattr(module, "mid_block")


def checked_model(unet: nn.Module, pipeline: Any) -> UNet2DConditionModel:
    """The model. Raises TypeError or ValueError if it can't be used for training here."""
    if not is_unet(unet):
        raise TypeError(
            f"{type(unet).__name__} is no UNet2DConditionModel of diffusers: give one, or a Stable "
            "Diffusion pipeline."
        )
    config = unet.config
    more = [config["class_embed_type"], config["encoder_hid_dim_type"]]
    if any(more) or config["addition_embed_type"] not in (None, "text_time"):
        raise ValueError(
            "This UNet takes more than a text and the size of a picture, such as a class or an "
            "IP-Adapter's picture. Give a plain text-to-image model."
        )
    if pipeline is not None and config["in_channels"] != pipeline.vae.config.latent_channels:
        raise ValueError(
            f"The UNet takes {config['in_channels']} channels, the VAE gives "
            f"{pipeline.vae.config.latent_channels}: an inpainting or otherwise conditioned model. "
            "Give a plain text-to-image model."
        )
    if hasattr(unet, "_hf_hook"):
        raise ValueError(
            "The pipeline moves its UNet to and from the accelerator itself. Load it without "
            "enable_model_cpu_offload, and where memory is short, train with offload."
        )
    for _ in attention_layers(unet):
        pass  # raises for fused projections
    return unet


def check_widths(spec: HypernetSpec, unet: nn.Module) -> None:
    widths = every_width(unet)
    missing = sorted(set(spec.widths) - set(widths))
    if missing:
        raise ValueError(
            f"Widths {listed(missing)} are not in this model, which has {listed(widths)}. Give "
            "HypernetSpec the widths of every_width, or some of them."
        )


def noise_levels(scheduler: Any) -> tuple[Tensor, str]:
    """alphas_cumprod (timesteps,) float32 on the CPU, and "eps" or "v"."""
    if scheduler is None:
        raise ValueError(
            "A UNet alone does not say which noise it was trained on: give the scheduler of its "
            "pipeline, too."
        )
    alphas = getattr(scheduler, "alphas_cumprod", None)
    word = getattr(scheduler.config, "prediction_type", "epsilon")
    if alphas is None or word not in PREDICTIONS:
        raise ValueError(
            f'{type(scheduler).__name__} with prediction_type "{word}" has no noise levels to '
            "train on: give a scheduler of Stable Diffusion that predicts "
            f"{' or '.join(PREDICTIONS)}."
        )
    return alphas.detach().float().cpu(), PREDICTIONS[word]


# --- what is learnt from -------------------------------------------------------------------------


class Material(NamedTuple):
    """What a training reads. probe and others are None where the settings do not ask for them."""

    batch_at: BatchAt
    probe: Probe | None = None
    others: Others = None  # prompts of other things


def from_pairs(
    pipeline: Any, pairs: Iterable[object], spec: HypernetSpec, settings: TrainSettings, size: Size
) -> tuple[Choice, Material]:
    width, height = size
    choice = settle(settings, spec, (height // PIXELS, width // PIXELS))
    settings = choice.settings
    dataset, latents = encode_pairs(pipeline, pairs, size)
    dataset = hold_out(dataset, settings.held_out, settings.seed)
    examples = Examples(
        dataset=dataset,
        name="",
        seed=settings.seed,
        latents=latents,
        conditions=encode_prompts(pipeline, prompts_of_run(dataset, "", settings)),
        sampling=settings.latent_sampling,
    )
    others = None
    if settings.preserve:
        texts = encode_prompts(pipeline, other_prompts(item.caption for item in dataset.items))
        others = stack(list(texts.values()))
    probe = examples.probe(settings.batch_size) if settings.probe_every else None
    return choice, Material(examples.batch_at, probe, others)


def from_batches(
    unet: UNet2DConditionModel,
    batches: Iterable[object],
    spec: HypernetSpec,
    settings: TrainSettings,
) -> tuple[Choice, Material]:
    given = given_batches(unet, batches, settings)
    rows, columns = given.latents[0].shape[-2:]
    choice = settle(without_prompts(settings), spec, (rows, columns))
    return choice, Material(given.batch_at)


def given_batches(
    unet: UNet2DConditionModel, batches: Iterable[object], settings: TrainSettings
) -> Given:
    """The samples of these batches. Raises TypeError or ValueError naming a batch that is wrong."""
    latents, conditions = [], []
    for number, batch in enumerate(batches, 1):
        match batch:
            case (Tensor() as pictures, Mapping() as condition) if "context" in condition:
                pass
            case _:
                raise TypeError(
                    f"Item {number} is no batch: a UNet alone takes (latents, {{'context': …}}). "
                    "Give a pipeline to train on pictures and captions."
                )
        check_batch(unet, number, pictures, condition)
        latents += pictures.detach().float().cpu()
        rows = {key: value.detach().float().cpu() for key, value in condition.items()}
        conditions += [{key: value[k] for key, value in rows.items()} for k in range(len(pictures))]
    return Given(
        latents=latents, conditions=conditions, seed=settings.seed, batch_size=settings.batch_size
    )


def without_prompts(settings: TrainSettings) -> TrainSettings:
    """The settings for a UNet alone, which can encode no prompts to preserve. Raises ValueError."""
    if settings.preserve > 0:
        raise ValueError(
            f"preserve {settings.preserve:g} needs prompts, and a UNet alone cannot encode them: "
            "give a pipeline, or 0."
        )
    return replace(settings, preserve=0.0)


def check_batch(
    unet: UNet2DConditionModel, number: int, latents: Tensor, condition: Mapping[str, Tensor]
) -> None:
    channels, widths = unet.config["in_channels"], attention_widths(unet)["attn2"]
    if latents.ndim != 4 or latents.shape[1] != channels:
        raise ValueError(
            f"Item {number}: latents of shape {list(latents.shape)} are not of this model, which "
            f"takes [pictures, {channels}, rows, columns]."
        )
    for key, value in condition.items():
        if len(value) != len(latents):
            raise ValueError(
                f'Item {number}: {len(latents)} latents and {len(value)} rows of "{key}". Give one '
                "for each."
            )
    width = condition["context"].shape[-1]
    if width not in widths:
        raise ValueError(
            f"Item {number}: a context of width {width} is of another text encoder; this model "
            f"reads {listed(widths)}."
        )
    if takes_sizes(unet) and "pooled" not in condition:
        raise ValueError(
            f'Item {number}: an SDXL model reads "pooled" beside "context"; give both.'
        )
