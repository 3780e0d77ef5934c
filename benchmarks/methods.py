"""Ways to teach a UNet a style: a hypernetwork, or peft's LoRA and DoRA.

All learn from the same batches with the same noise: they differ only in what is trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from hypernet_pack.compat.standalone.model.patched_model import Model
from hypernet_pack.nodes.use.apply import ApplyHypernet
from torch import Tensor, nn

from hypernet import HypernetSpec, Hypernetwork
from hypernet.seeding import generator
from hypernet.training.auto import AutoSettings, as_cosine, settle, usual_rate
from hypernet.training.diffusion import Batch, Denoiser, draw_noise, draw_timesteps, predicted
from hypernet.training.learner import Learner
from hypernet.training.probe import Probe
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

from . import core_lora
from .acting import switched_at

BatchAt = Callable[[int, int], Batch]
Weights = dict[str, Tensor]

PROBED = 8  # pictures
TARGETS = {
    "attention": ["to_q", "to_k", "to_v", "to_out.0"],
    "all linear": ["to_q", "to_k", "to_v", "to_out.0", "proj", "net.2", "proj_in", "proj_out"],
}
LATENT = (16, 16)  # the bundled model's


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How something is trained. Open settings are chosen as Train Hypernet chooses them.

    spec: of a hypernetwork. lora: {"rank", "targets", "dora"} of a LoRA. core: inputs of core's
    Train LoRA. faster: times the rate that is chosen. start: the part of sampling after which it
    acts. pictures: how many it learns from; 0 for all.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] | None = None
    lora: Mapping[str, Any] | None = None
    core: Mapping[str, Any] | None = None
    faster: float = 1.0
    start: float = 0.3  # what chosen_start gives for the bundled model
    pictures: int = 0

    def train_settings(self, seed: int) -> TrainSettings:
        spec = HypernetSpec(**(self.spec or {}))
        chosen = settle(AutoSettings(seed=seed, **self.settings), spec, LATENT).settings
        if self.faster == 1:
            return chosen
        rate = usual_rate(spec, chosen.steps, chosen.optimizer) * self.faster
        return replace(chosen, learning_rate=as_cosine(rate, chosen.steps))


@dataclass(frozen=True)
class Reached:
    """What a training has reached after this part of its steps."""

    part: float
    done: int
    seconds: float
    weights: Weights


def clock() -> float:
    """Seconds: of this process's work on the CPU, so that others there do not count."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def learn(
    recipe: Recipe,
    seed: int,
    model: Model,
    denoiser: Denoiser,
    batch_at: BatchAt,
    others: Mapping[str, Tensor],
    parts: set[float],
) -> Iterator[Reached]:
    """Train, and yield what was reached after these parts of the steps.

    others: encoded prompts of other things, for what preserves them.
    """
    settings = recipe.train_settings(seed)
    stops = {round(settings.steps * part): part for part in parts}
    if recipe.lora is not None:
        yield from learn_lora(recipe, settings, model, denoiser, batch_at, stops)
        return
    learner = Learner(network_of(recipe, seed).to(denoiser.device), settings)
    probe = Probe([batch_at(0, PROBED)])
    seconds, began = 0.0, clock()
    for step in train(learner, denoiser, batch_at, probe, others=others):
        if step.done in stops:
            seconds += clock() - began
            yield Reached(stops[step.done], step.done, seconds, on_cpu(learner.result.state_dict()))
            began = clock()


def on_cpu(weights: Mapping[str, Tensor]) -> Weights:
    return {name: weight.detach().cpu().clone() for name, weight in weights.items()}


def network_of(recipe: Recipe, seed: int) -> Hypernetwork:
    return Hypernetwork(HypernetSpec(seed=seed, **(recipe.spec or {})))


def learn_lora(
    recipe: Recipe,
    settings: TrainSettings,
    model: Model,
    denoiser: Denoiser,
    batch_at: BatchAt,
    stops: Mapping[int, float],
) -> Iterator[Reached]:
    """The plain loop, with AdamW and the same batches, noise and schedule as ours."""
    size = settings.batch_size
    with adapted(model.module, recipe, settings.seed) as parameters:
        for weight in parameters.values():
            weight.requires_grad_(True)
        optimizer = torch.optim.AdamW(
            list(parameters.values()), lr=0.0, weight_decay=settings.weight_decay
        )
        seconds, began = 0.0, clock()
        for done in range(settings.steps):
            optimizer.param_groups[0]["lr"] = settings.schedule.rate_at(done)
            batch = batch_at(done * size, size)
            chance = generator(settings.seed, "noise", done)
            timesteps = draw_timesteps("uniform", size, 0, 1000, chance)
            noise = draw_noise(batch.latents.shape, settings.noise_offset, chance)
            found, target = predicted(denoiser, batch, noise, timesteps, None)
            (found - target).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if done + 1 in stops:
                seconds += clock() - began
                yield Reached(stops[done + 1], done + 1, seconds, on_cpu(parameters))
                began = clock()


@contextmanager
def adapted(unet: nn.Module, recipe: Recipe, seed: int) -> Iterator[dict[str, nn.Parameter]]:
    """Inside the block, the UNet has peft's layers. Yields their parameters."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    wanted = recipe.lora or {}
    config = LoraConfig(
        r=wanted["rank"],
        lora_alpha=wanted["rank"],
        target_modules=TARGETS[wanted["targets"]],
        use_dora=wanted.get("dora", False),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, unet)
    try:
        yield {name: p for name, p in unet.named_parameters() if "lora_" in name}
    finally:
        for name, layer in list(unet.named_modules()):
            if isinstance(layer, LoraLayer):
                unet.set_submodule(name, layer.get_base_layer())
        del unet.peft_config


@contextmanager
def applied(recipe: Recipe, weights: Weights, strength: float, model: Model) -> Iterator[Model]:
    """Inside the block, the model that is yielded draws with what was trained."""
    if recipe.lora is None and recipe.core is None:
        network = network_of(recipe, 0)
        network.load_state_dict(weights)
        network.record.curve = recipe.settings.get("strength_curve", "")
        yield ApplyHypernet.execute(model, network, strength, start_percent=recipe.start)[0]
        return
    if recipe.core is not None:
        with core_lora.applied(weights, strength, model, recipe.start):
            yield model
        return
    dtype = model.model_dtype()  # of the UNet alone
    with adapted(model.module, recipe, 0) as parameters:
        with torch.no_grad():
            for name, weight in parameters.items():
                weight.copy_(weights[name])
        model.module.to(dtype)
        with acting_from(model, recipe.start, strength):
            yield model


@contextmanager
def acting_from(model: Model, start: float, strength: float) -> Iterator[None]:
    """Inside the block, LoRA layers act from this part of sampling on, with this strength."""
    from peft.tuners.lora import LoraLayer

    layers = [each for each in model.module.modules() if isinstance(each, LoraLayer)]

    def choose(acts: bool) -> None:
        for layer in layers:
            layer.scaling["default"] = strength if acts else 0.0

    with switched_at(model, start, choose):
        yield
