"""A frozen diffusers transformer as training sees it, on flow matching.

The network acts at the sites of the census, installed for the length of a call. Where blocks are
computed again in the backward pass (checkpointing, offload), each installs the changes at its own
sites itself, so that the second time finds them whenever it comes. A block is one entry of the
transformer's lists of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..apply.sites import Change, blocks_with, changed, in_a_row
from ..apply.training_network import TrainingNetwork
from ..families import Site, take_census
from ..training.diffusion import FLOW_LEVELS, Denoiser, flow_levels, flux_shift, unshifted
from ..training.int8_model import in_int8, plain_layers
from ..training.memory_saving import (
    Forward,
    Swap,
    addresses_of,
    again,
    computed_by,
    spread,
    visiting,
)
from ..training.memory_saving import compiled as compiled_layers
from .denoiser import computing_in, frozen
from .velocities import inputs_of, velocity_of

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin

SHIFTED = ("FluxTransformer2DModel", "Flux2Transformer2DModel")  # by the size of the picture


@contextmanager
def transformer_denoiser(
    transformer: ModelMixin,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    swapped: int = 0,
    compiled: Callable[[str], object] | None = None,
    loaded: Callable[[], AbstractContextManager] = nullcontext,
    changes_at: Callable[[Tensor], Sequence[Change]] = lambda sigmas: (),
    unpacked: Container[nn.Module] = (),
) -> Iterator[Denoiser]:
    """The denoiser of a transformer in the table of velocities.py. Inside the block, it is frozen.

    Parameters as in denoiser.denoiser. changes_at(σ): what acts already, before the network that
    learns. Gradients must be on when predict is called. Raises ValueError if the class is not in
    the tables.
    """
    with ExitStack() as inside:
        frozen_transformer = FrozenTransformer(transformer, device, swapped, changes_at)
        if dtype not in (None, torch.int8, transformer.dtype):
            inside.enter_context(computing_in(transformer, dtype))
        if compiled is not None:
            inside.enter_context(compiled_layers(layers_without_sites(transformer), compiled))
        if swapped:
            inside.enter_context(frozen_transformer.offloaded())
        inside.enter_context(loaded())
        if dtype == torch.int8:
            layers = plain_layers(frozen_transformer.blocks, unpacked)
            inside.enter_context(in_int8(layers))
        inside.enter_context(frozen(transformer))
        inside.enter_context(experts_with_gradients(transformer))
        yield Denoiser(
            predict=frozen_transformer,
            levels=flow_levels(),
            prediction="flow",
            device=device,
            dtype=transformer.dtype,
            shift=shift_of(transformer),
            checkpointed=frozen_transformer.checkpointed,
            recomputes=swapped > 0,
            addresses=partial(addresses_of, transformer),
        )


class FrozenTransformer:
    """`Denoiser.predict` on a transformer."""

    def __init__(
        self,
        transformer: ModelMixin,
        device: torch.device,
        swapped: int,
        changes_at: Callable[[Tensor], Sequence[Change]],
    ):
        inputs_of(transformer)  # raises for an unknown class
        self.transformer = transformer
        self.sites = take_census(transformer).sites
        self.blocks = blocks_with(transformer, self.sites)
        self.plain: dict[nn.Module, Forward] = {}  # forwards of the blocks while they are visited
        self.device = device
        self.swap = Swap(spread(list(self.blocks), swapped), device)
        self.checkpoints = False
        self.changes_at = changes_at

    def __call__(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        condition: Mapping[str, Tensor],
        acting: TrainingNetwork | None,
    ) -> Tensor:
        """v (B, c, …), float32."""
        sigmas = (timesteps.to(self.device).float() + 1) / FLOW_LEVELS
        changes = [*self.changes_at(sigmas), *([acting.change] if acting is not None else [])]
        texts = {key: ordinary(each) for key, each in condition.items()}
        with self._changed(in_a_row(changes)):
            return velocity_of(self.transformer, ordinary(noisy), sigmas, texts)

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        """Inside the block, every block is computed again in the backward pass."""
        self.checkpoints = True
        try:
            yield
        finally:
            self.checkpoints = False

    @contextmanager
    def offloaded(self) -> Iterator[None]:
        """Inside the block, a transformer that is in RAM stays there, also for other callers.

        The weights of the swapped blocks visit the device one after the other; all others are there
        all the time.
        """
        blocks = self.swap.blocks
        self.plain = {block: block.forward for block in blocks}
        with (
            visiting(self.transformer, self.device, but=blocks),
            computed_by({block: self.swap.visited(block) for block in blocks}),
        ):
            yield
        self.plain = {}

    @contextmanager
    def _changed(self, change: Change | None) -> Iterator[None]:
        twice = self.blocks if self.checkpoints else self.swap.blocks
        forwards = {
            block: self._computed_again(block, change, self.blocks[block]) for block in twice
        }
        once = chain(*(sites for block, sites in self.blocks.items() if block not in twice))
        with computed_by(forwards), changed(self.transformer, list(once), change):
            yield

    def _computed_again(
        self, block: nn.Module, change: Change | None, sites: Sequence[Site]
    ) -> Forward:
        own = self.plain.get(block, block.forward)

        def compute(*inputs: Any, **named: Any) -> Any:
            weights = self.swap.visit(block) if block in self.swap else nullcontext()
            with weights, changed(self.transformer, sites, change):
                return own(*inputs, **named)

        return partial(again, compute)


@contextmanager
def experts_with_gradients(transformer: nn.Module) -> Iterator[None]:
    """Inside, gradients flow through HiDream's experts, which have none outside of training mode.

    They alone are in that mode: it changes what other layers compute.
    """
    mixtures: list[Any] = [each for each in transformer.modules() if hasattr(each, "moe_infer")]
    before = [(each, each.training, each._force_inference_output) for each in mixtures]
    try:
        for mixture in mixtures:
            mixture.training, mixture._force_inference_output = True, False
        yield
    finally:
        for mixture, training, forced in before:
            mixture.training, mixture._force_inference_output = training, forced


def layers_without_sites(transformer: nn.Module) -> list[nn.Module]:
    """The layers to compile: their input does not change with every step."""
    return [
        layer for layer in transformer.modules() if type(layer).__name__.endswith("FeedForward")
    ]


def shift_of(transformer: Any) -> Callable[[torch.Size], float]:
    """How the model's own pipeline shifts noise levels in training; only Flux does."""
    if type(transformer).__name__ in SHIFTED:
        return partial(flux_shift, patch=inputs_of(transformer).patch(transformer.config))
    return unshifted


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor; for one of inference mode a copy, which autograd can save."""
    return tensor.clone() if tensor.is_inference() else tensor
