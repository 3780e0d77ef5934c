"""A frozen model of ComfyUI's in training: loaded, with ordinary weights, until it is restored.

Two surprises:

- ComfyUI may move the model meanwhile, to make room for a preview. Then it is loaded again.
- Any operation of a model may raise the user's interrupt, and clears it by that. Then the step is
  computed again and the interrupt is set again, because training polls `is_interrupted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import comfy.model_management as management
import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch import Tensor, nn

from hypernet.training.int8_model import in_int8
from hypernet.training.memory_saving import Swap, addresses_of, spread, visiting
from hypernet.training.memory_saving import compiled as compiled_layers

from ..host import Interrupted
from .lent_weights import LentWeights
from .small_weights import float8_layers, packable_layers

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


class FrozenModel:
    """What the models of all architectures have in common between load and restore.

    swapped: ComfyUI loads the model into RAM, as without an accelerator. The weights of so many
    layers visit the device, all others are there all the time. ComfyUI's own "lowvram" cannot be
    used: it fetches weights into buffers that the next layer overwrites, although the backward pass
    still needs them.
    """

    def __init__(
        self,
        model: ModelPatcher,
        swapped: int = 0,
        compiled: Callable[[str], object] | None = None,
    ):
        self.device = torch.device(model.load_device)
        if swapped:
            model = model.clone()
            model.load_device = torch.device("cpu")
        self.model = model
        self.swapped = swapped
        self.swap = Swap([], self.device)
        self.compiled = compiled
        self.checkpoints = False
        self.in_int8 = False
        self._inside = ExitStack()
        self._lent = LentWeights(model.model)

    @property
    def dtype(self) -> torch.dtype:
        return self.model.model.get_dtype_inference()

    @property
    def network(self) -> nn.Module:
        """ComfyUI's `diffusion_model`."""
        return self.model.model.diffusion_model

    def spared_layers(self) -> Sequence[nn.Module]:
        """The layers that are computed again, and whose weights visit the device."""
        raise NotImplementedError

    def compilable_layers(self) -> Sequence[nn.Module]:
        """Those without anything that changes at every step."""
        raise NotImplementedError

    def load(self) -> None:
        with torch.inference_mode():
            if self.swapped:  # otherwise a clone that is on the device would stay there
                management.unload_model_and_clones(self.model)
            management.load_models_gpu([self.model], memory_required=1e20, force_full_load=True)
        pack = packable_layers if self.in_int8 else float8_layers
        self._inside.enter_context(in_int8(pack(self.spared_layers())))
        self._lent.lend()
        if self.compiled is not None:
            layers = self.compilable_layers()
            self._inside.enter_context(compiled_layers(layers, self.compiled))
        if self.swapped:
            self.swap = Swap(spread(self.spared_layers(), self.swapped), self.device)
            self._inside.enter_context(visiting(self.network, self.device, but=self.swap.blocks))

    def restore(self) -> None:
        self._inside.close()
        self.swap = Swap([], self.device)
        self._lent.take_back()

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        self.checkpoints = True
        try:
            yield
        finally:
            self.checkpoints = False

    def come_home(self) -> None:
        """Load again if ComfyUI has moved the model."""
        home = torch.device(self.model.load_device)
        if self.model.current_loaded_device() != home or self._lent.are_spoilt():
            self.restore()
            self.load()

    def addresses(self) -> tuple[int, ...]:
        """Where the weights are, once they are home."""
        self.come_home()
        return addresses_of(self.network)

    def finished(self, compute: Callable[[], Tensor]) -> Tensor:
        """compute(), also if the user interrupts it; training stops before the next step."""
        if self.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return compute()  # no random state can be read while a graph is recorded
        chance, interrupted = _random_state(self.device), False
        while True:
            try:
                result = compute()
                break
            except Interrupted:
                interrupted = True
                _set_random_state(self.device, chance)
        if interrupted:
            management.interrupt_current_processing(True)
        return result

    def prepared(self, condition: Mapping[str, Tensor], latents: Tensor) -> Mapping[str, Tensor]:
        """As Denoiser.prepared."""
        return condition

    def usable(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device, self.dtype)
        return tensor.clone() if tensor.is_inference() else tensor


def _random_state(device: torch.device) -> list[Tensor]:
    state = [torch.get_rng_state()]
    return [*state, torch.cuda.get_rng_state(device)] if device.type == "cuda" else state


def _set_random_state(device: torch.device, state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


def attention_with_gradients(_chosen: object, *arguments: Any, **options: Any) -> Tensor:
    """torch's SDPA. Sage attention has no backward; sub-quadratic keeps every chunk for it."""
    return attention_pytorch(*arguments, **options)
