"""ComfyUI's transformers (DiTs) in training. Networks change the inputs of their projections.

They predict a velocity v. `apply_model` answers x − σ·v, from which v follows in float32; going
through it keeps all that a model's patches and wrappers do. Cosmos Predict2 counts noise as
σ / (1 − σ) and scales its input by 1 − σ, so it gets x / (1 − σ) here.

Blocks that are computed again install their changes themselves, so that the second time finds them
whenever it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from comfy.model_sampling import COSMOS_RFLOW
from torch import Tensor, nn

from hypernet.apply.sites import Change, blocks_with, changed, in_a_row
from hypernet.apply.training_network import TrainingNetwork
from hypernet.families import Site, take_census
from hypernet.training.diffusion import FLOW_LEVELS, TOKENS, flux_shift, unshifted
from hypernet.training.memory_saving import Forward, again, computed_by

from ..model import uncompiled
from ..sites import NAME, found_in, read_weights
from .frozen_model import FrozenModel, attention_with_gradients
from .gradients import copies, norms_reading_copies
from .inputs import Together, inputs_of, takes_pictures

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

MOST_NOISE = 1 - 0.5 / FLOW_LEVELS  # for Cosmos Predict2, where pure noise would be infinite


class FrozenTransformer(FrozenModel):
    """`Denoiser.predict` on a transformer."""

    def __init__(
        self,
        model: ModelPatcher,
        swapped: int = 0,
        compiled: Callable[[str], object] | None = None,
    ):
        super().__init__(model, swapped)
        if compiled is not None:
            compiled("compile changes nothing on this model: only parts of UNets are compiled.")
        self.sites = take_census(self.network).sites
        self.blocks = blocks_with(self.network, self.sites)

    @property
    def network(self) -> nn.Module:
        return uncompiled(self.model.model.diffusion_model)

    def spared_layers(self) -> list[nn.Module]:
        return list(self.blocks)

    def compilable_layers(self) -> list[nn.Module]:
        return []  # nothing is known to stay the same from step to step

    def load(self) -> None:
        super().load()
        self._inside.enter_context(norms_reading_copies(self.network))

    def __call__(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        condition: Mapping[str, Tensor],
        acting: TrainingNetwork | None,
    ) -> Tensor:
        self.come_home()
        noisy = self.usable(noisy).float()
        condition = {
            key: each if key.endswith(TOKENS) else self._ready(each)
            for key, each in condition.items()
        }
        sigmas = (timesteps.to(self.device).float() + 1) / FLOW_LEVELS
        with torch.no_grad():
            calls = inputs_of(self.model.model, noisy, condition)

        def compute() -> Tensor:
            answer = torch.empty_like(noisy)
            for call in calls:
                answer[call.rows] = self._velocity(
                    noisy[call.rows], sigmas[call.rows], call, acting
                )
            return answer

        return self.finished(compute)

    def _ready(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device)
        return tensor.clone() if tensor.is_inference() else tensor

    def _velocity(
        self, noisy: Tensor, sigmas: Tensor, call: Together, acting: TrainingNetwork | None
    ) -> Tensor:
        shape = (-1, *(1,) * (noisy.ndim - 1))
        x, levels = noisy, sigmas
        if isinstance(self.model.model.model_sampling, COSMOS_RFLOW):
            sigmas = sigmas.clamp(max=MOST_NOISE)
            x, levels = noisy / (1 - sigmas).view(shape), sigmas / (1 - sigmas)
        options = self._options(levels)
        change = changes_in(options, acting)
        with self._changed(change):
            found = self.model.model.apply_model(
                x, levels, transformer_options=options, **call.given
            )
        return (noisy - found) / sigmas.view(shape)

    def _options(self, sigmas: Tensor) -> dict[str, Any]:
        """transformer_options for one call: the model's own."""
        own = self.model.model_options.get("transformer_options", {})
        every = self.model.model.model_sampling.sigmas
        return {
            **own,
            "patches": {kind: list(items) for kind, items in own.get("patches", {}).items()},
            "sigmas": sigmas,
            "sample_sigmas": every.flip(0).to(self.device),
            "cond_or_uncond": [0],
            "optimized_attention_override": attention_with_gradients,
        }

    @contextmanager
    def _changed(self, change: Change | None) -> Iterator[None]:
        """Inside, the model's keys and values are made of changed inputs."""
        twice = self.blocks if self.checkpoints else self.swap.blocks
        forwards = {
            block: self._computed_again(block, change, self.blocks[block]) for block in twice
        }
        once = chain(*(sites for block, sites in self.blocks.items() if block not in twice))
        with computed_by(forwards), changed(self.network, list(once), change, read_weights):
            yield

    def _computed_again(
        self, block: nn.Module, change: Change | None, sites: Sequence[Site]
    ) -> Forward:
        own = block.forward

        def compute(*inputs: Any, **named: Any) -> Any:
            weights = self.swap.visit(block) if block in self.swap else nullcontext()
            with weights, changed(self.network, sites, change, read_weights):
                return own(*copies(inputs), **dict(zip(named, copies(named.values()), strict=True)))

        def forward(*inputs: Any, **named: Any) -> Any:
            if "transformer_options" in named:  # the model goes on writing the current block there
                named["transformer_options"] = dict(named["transformer_options"])
            return again(compute, *inputs, **named)

        return forward


def changes_in(options: dict[str, Any], acting: TrainingNetwork | None) -> Change | None:
    """What networks that the model carries change, and then the one that learns.

    They are taken out of the options, where they would act on their own and not when a block is
    computed again.
    """
    carried = [does for patch in found_in(options) if (does := patch.in_call(options)) is not None]
    options["patches"].pop(NAME, None)
    changes = [*carried, acting.change] if acting is not None else carried
    return in_a_row(changes)


def shift_of(model: ModelPatcher) -> Callable[[torch.Size], float]:
    """How the model's own pipeline shifts noise levels in training; only Flux does."""
    network: Any = uncompiled(model.get_model_object("diffusion_model"))  # of any class
    if type(network).__name__ == "Flux":
        return partial(flux_shift, patch=network.patch_size)
    return unshifted


def require_trainable_transformer(model: ModelPatcher) -> None:
    """Raises ValueError for an unknown architecture, and for models that read pictures, too."""
    name = type(model.model).__name__
    take_census(uncompiled(model.get_model_object("diffusion_model")))
    latent_format = model.get_model_object("latent_format")
    channels, dimensions = latent_format.latent_channels, latent_format.latent_dimensions
    if takes_pictures(model.model, channels, dimensions + 2):
        raise ValueError(
            f"this model ({name}) reads a picture beside the noise: it is one for inpainting, "
            "editing or video. Train on the plain model; the network works with this one too."
        )
