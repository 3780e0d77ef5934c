"""A frozen diffusers UNet as training sees it.

Whatever changes the UNet (freezing, another dtype, weights that stay in RAM, compiled layers) is
done by a context manager, which undoes it at the end. diffusers is imported only when the types of
its layers are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..apply.training_network import TrainingNetwork
from ..training.diffusion import Denoiser, diffusion_levels
from ..training.int8_model import in_int8, plain_layers
from ..training.memory_saving import Swap, addresses_of, computed_by, outermost, spread, visiting
from ..training.memory_saving import compiled as compiled_layers
from .unet import run_unet

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}  # diffusers' name -> ours

Options = Mapping[str, Any]  # ComfyUI's transformer_options, for one call of the UNet


@contextmanager
def denoiser(
    unet: UNet2DConditionModel,
    alphas_cumprod: Tensor,
    prediction: str,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    swapped: int = 0,
    compiled: Callable[[str], object] | None = None,
    loaded: Callable[[], AbstractContextManager] = nullcontext,
    options_at: Callable[[Tensor], Options] = lambda timesteps: {},
    unpacked: Container[nn.Module] = (),
) -> Iterator[Denoiser]:
    """The denoiser of a UNet whose attention layers call patches (unet.py). Inside the block, the
    UNet is frozen.

    alphas_cumprod: (timesteps,) float32, on the CPU. prediction: "eps" or "v". device: where the
    UNet computes. dtype: in which it computes, None for its own; int8 leaves that alone, and has
    the weights of its blocks in int8. swapped: so many blocks, whose weights must be in RAM, stay
    there and visit the device. compiled: gets a sentence if torch.compile fails; None means that
    nothing is compiled. loaded: a context of the host's, which is entered once the weights have
    their dtype. options_at(timesteps): the host's transformer_options; patches for training come
    after those in them. unpacked: layers whose weights the host changes, so not in int8.

    Gradients must be on when predict is called.
    """
    with ExitStack() as inside:
        if dtype not in (None, torch.int8, unet.dtype):
            inside.enter_context(computing_in(unet, dtype))
        if compiled is not None:
            inside.enter_context(compiled_layers(layers_without_patches(unet), compiled))
        if swapped:
            inside.enter_context(offloaded(unet, device, swapped))
        inside.enter_context(loaded())
        if dtype == torch.int8:
            blocks = (unet.down_blocks, unet.mid_block, unet.up_blocks)
            inside.enter_context(in_int8(plain_layers(blocks, unpacked)))
        inside.enter_context(frozen(unet))
        yield Denoiser(
            predict=partial(predict, unet, options_at),
            levels=diffusion_levels(alphas_cumprod),
            prediction=prediction,
            device=device,
            dtype=unet.dtype,
            checkpointed=partial(checkpointed, unet),
            recomputes=swapped > 0,
            addresses=partial(addresses_of, unet),
        )


def predict(
    unet: UNet2DConditionModel,
    options_at: Callable[[Tensor], Options],
    noisy: Tensor,
    timesteps: Tensor,
    condition: Mapping[str, Tensor],
    acting: TrainingNetwork | None = None,
) -> Tensor:
    """The UNet's answer (B, c, h, w), as Denoiser.predict gives it."""
    options = with_patches(options_at(timesteps), acting)
    added = (condition.get(key) for key in ("pooled", "sizes"))
    return run_unet(unet, noisy, timesteps, condition["context"], options, *added)


def with_patches(options: Options, acting: TrainingNetwork | None) -> dict[str, Any]:
    """The options, with the network's patches after the ones that they hold."""
    patches = dict(options.get("patches", {}))
    if acting is not None:
        for name, patch in (("attn1_patch", acting.attn1), ("attn2_patch", acting.attn2)):
            patches[name] = [*patches.get(name, []), patch]
    return {**options, "patches": patches}


@contextmanager
def placed(module: ModelMixin, device: torch.device) -> Iterator[None]:
    """Inside the block, the module is on the device; afterwards it is back where it was."""
    before = module.device
    # diffusers decorates `to`, and its types lose `self` there
    try:
        module.to(device)  # pyright: ignore[reportArgumentType]
        yield
    finally:
        module.to(before)  # pyright: ignore[reportArgumentType]


@contextmanager
def computing_in(module: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside the block, the weights have another dtype and are in RAM, where the originals wait."""
    before = {weight: weight.data.to("cpu") for weight in module.parameters()}
    try:
        for weight, plain in before.items():
            weight.data = plain.to(dtype)
        yield
    finally:
        for weight, plain in before.items():
            weight.data = plain


@contextmanager
def offloaded(unet: nn.Module, device: torch.device, count: int) -> Iterator[None]:
    """Inside the block, a UNet that is in RAM stays there.

    The weights of so many of its blocks visit the device one after the other; all others are there
    all the time.
    """
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.downsampling import Downsample2D
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.upsampling import Upsample2D

    kinds = (BasicTransformerBlock, ResnetBlock2D, Downsample2D, Upsample2D)
    swap = Swap(spread(outermost(unet, kinds), count), device)
    with (
        visiting(unet, device, but=swap.blocks),
        computed_by({block: swap.visited(block) for block in swap.blocks}),
    ):
        yield


def layers_without_patches(unet: nn.Module) -> list[nn.Module]:
    """The layers that call no attention patches.

    Patches change with every step, so layers with patches would be compiled again each time.
    """
    from diffusers.models.attention import FeedForward
    from diffusers.models.resnet import ResnetBlock2D

    return [layer for layer in unet.modules() if isinstance(layer, (FeedForward, ResnetBlock2D))]


@contextmanager
def checkpointed(unet: UNet2DConditionModel) -> Iterator[None]:
    """Inside the block, diffusers recomputes every UNet block in the backward pass."""
    unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        unet.disable_gradient_checkpointing()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside the block, the module is in eval mode and its parameters need no gradients."""
    training = module.training
    wanted = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        module.eval().requires_grad_(False)
        yield
    finally:
        module.train(training)
        for parameter, requires_grad in wanted.items():
            parameter.requires_grad_(requires_grad)
