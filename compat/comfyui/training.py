"""ComfyUI's UNet as a Denoiser for training. Three surprises:

- ComfyUI runs nodes in `torch.inference_mode()`, so weights that a graph has loaded are inference
  tensors, which autograd refuses to save. `denoiser` lends the UNet ordinary tensors that share
  their storage, so this takes no memory, and puts the originals back afterwards. ComfyUI's loading
  code is still called in inference mode, which it expects.
- The UNet's forward writes into its `transformer_options`, so each call gets a copy.
- Any operation of a model may raise the user's interrupt, and clears it by that. Then the step is
  computed again and the interrupt is set again, because training polls `is_interrupted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import comfy.model_management as management
import torch
from comfy.ldm.modules.attention import FeedForward, SpatialTransformer, attention_pytorch
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, UNetModel, Upsample
from comfy.model_base import SDXL
from comfy.model_sampling import EPS, V_PREDICTION, ModelSamplingDiscrete
from torch import Tensor

from hypernet.apply.training_network import TrainingNetwork
from hypernet.pictures.latent_size import size_in_pixels
from hypernet.pictures.sdxl_sizes import sizes_in_options
from hypernet.training.diffusion import Denoiser, diffusion_levels
from hypernet.training.memory_saving import again, outermost, visiting
from hypernet.training.memory_saving import compiled as compiled_layers

from .host import Interrupted
from .ordinary_tensors import ordinary

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# ComfyUI's names for the six numbers of sdxl_sizes.py, in their order
SIZES = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")


@contextmanager
def denoiser(
    model: ModelPatcher,
    *,
    dtype: torch.dtype | None = None,
    offload: bool = False,
    compiled: Callable[[str], object] | None = None,
) -> Iterator[Denoiser]:
    """Inside, the model's UNet is frozen, loaded and ready for autograd; then all is restored.

    Patches and LoRAs of the model stay in force, so the network learns with them. Inside the block
    inference mode is off and gradients are on, also for the caller's code.

    Raises:
        ValueError: the model has no patch points, takes inputs that training cannot give it, or
            predicts something other than eps or v on discrete timesteps.
    """
    _require_trainable(model)
    sampling = model.get_model_object("model_sampling")
    prediction = _prediction(sampling)
    with ExitStack() as inside:
        for each in (torch.inference_mode(False), torch.enable_grad(), _in_training()):
            inside.enter_context(each)
        if model.is_dynamic():  # its weights would leave while the graph still needs them
            model = _resident_copy(model)
        if dtype not in (None, model.model.get_dtype_inference()):
            model = model.clone()
            model.set_model_compute_dtype(dtype)
        sigmas = ordinary(sampling.sigmas).float()
        unet = _FrozenUnet(model, sigmas, offload, compiled)
        try:
            unet.load()
            yield Denoiser(
                predict=unet,
                levels=diffusion_levels(1 / (1 + sigmas**2)),
                prediction=prediction,
                device=unet.device,
                dtype=unet.dtype,
                checkpointed=unet.checkpointed,
                recomputes=offload,
            )
        finally:
            unet.restore()


SPARED = (ResBlock, SpatialTransformer, Downsample, Upsample)  # recomputed and offloaded by layer
UNPATCHED = (ResBlock, FeedForward)  # compiled: they call no patches, which change at every step


class _FrozenUnet:
    """`Denoiser.predict` on ComfyUI's UNet, whose weights are lent between load and restore.

    offload: ComfyUI loads the model into RAM, as without an accelerator, and each layer's weights
    visit the device. ComfyUI's own "lowvram" cannot be used: it fetches weights into buffers that
    the next layer overwrites, although the backward pass still needs them.
    """

    def __init__(
        self,
        model: ModelPatcher,
        sigmas: Tensor,
        offload: bool = False,
        compiled: Callable[[str], object] | None = None,
    ):
        self.device = torch.device(model.load_device)
        if offload:
            model = model.clone()
            model.load_device = torch.device("cpu")
        self.model = model
        self.sigmas = sigmas
        self.offload = offload
        self.compiled = compiled
        self.recomputes = offload
        self._inside = ExitStack()
        self._lent = _LentWeights(model.model)

    @property
    def dtype(self) -> torch.dtype:
        return self.model.model.get_dtype_inference()

    def load(self) -> None:
        with torch.inference_mode():
            if self.offload:  # otherwise a clone that is on the device would stay there
                management.unload_model_and_clones(self.model)
            management.load_models_gpu([self.model], memory_required=1e20, force_full_load=True)
        self._lent.lend()
        unet = self.model.model.diffusion_model
        if self.compiled is not None:
            layers = [layer for layer in unet.modules() if isinstance(layer, UNPATCHED)]
            self._inside.enter_context(compiled_layers(layers, self.compiled))
        if self.offload:
            layers = outermost(unet, SPARED)
            self._inside.enter_context(visiting(unet, self.device, but=layers))

    def restore(self) -> None:
        self._inside.close()
        self._lent.take_back()

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        self.recomputes = True
        try:
            yield
        finally:
            self.recomputes = self.offload

    def __call__(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        condition: Mapping[str, Tensor],
        acting: TrainingNetwork | None,
    ) -> Tensor:
        home = torch.device(self.model.load_device)
        if self.model.current_loaded_device() != home or self._lent.are_spoilt():
            self.restore()  # ComfyUI has moved the model, to make room for a preview
            self.load()
        noisy = self._usable(noisy)
        inputs = {"context": self._usable(condition["context"])}
        if self.model.model.adm_channels:
            inputs["y"] = self._usable(_text_and_sizes(self.model.model, condition, noisy))
        times = timesteps.to(self.device, torch.float32)
        chance, interrupted = _random_state(self.device), False
        while True:
            options = self._options(timesteps, acting)
            try:
                result = self.model.model.diffusion_model(
                    noisy, times, transformer_options=options, **inputs
                )
                break
            except Interrupted:  # finish this step; training stops before the next
                interrupted = True
                _set_random_state(self.device, chance)
        if interrupted:
            management.interrupt_current_processing(True)
        return result

    def _usable(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device, self.dtype)
        return tensor.clone() if tensor.is_inference() else tensor

    def _options(self, timesteps: Tensor, acting: TrainingNetwork | None) -> dict:
        """transformer_options for one call: the model's own, with our patches after its own."""
        own = self.model.model_options.get("transformer_options", {})
        patches = {kind: list(items) for kind, items in own.get("patches", {}).items()}
        if acting is not None:
            for kind, patch in (("attn1_patch", acting.attn1), ("attn2_patch", acting.attn2)):
                patches.setdefault(kind, []).append(patch)
        if self.recomputes:
            handlers = [(kind, self._spare) for kind in SPARED]
            patches.setdefault("forward_timestep_embed_patch", []).extend(handlers)
        return {
            **own,
            "patches": patches,
            "sigmas": self.sigmas[timesteps.cpu()].to(self.device),
            "sample_sigmas": self.sigmas.flip(0).to(self.device),
            "cond_or_uncond": [0],
            "optimized_attention_override": _attention_with_gradients,
        }

    def _spare(
        self,
        layer: torch.nn.Module,
        x: Tensor,
        emb: Tensor,
        context: Tensor,
        options: dict[str, Any],
        shape: torch.Size | None,
        *of_videos: object,
    ) -> Tensor:
        """ComfyUI calls this instead of a layer, which is recomputed in the backward pass.

        The layer gets a copy of `options`, because the UNet writes the current block there: a layer
        that is computed again would otherwise find the last block.
        """
        if isinstance(layer, SpatialTransformer):
            inputs, more = (x, context, dict(options)), {}
        elif isinstance(layer, ResBlock):
            inputs, more = (x, emb), {}
        else:
            inputs, more = (x,), {"output_shape": shape} if isinstance(layer, Upsample) else {}

        def compute(*inputs: Any, **more: Any) -> Tensor:
            if not self.offload:
                return layer(*inputs, **more)
            with visiting(layer, self.device):
                return layer(*inputs, **more)

        result = again(compute, *inputs, **more)
        if isinstance(layer, SpatialTransformer) and "transformer_index" in options:
            options["transformer_index"] += 1
        return result


def _text_and_sizes(sdxl: SDXL, condition: Mapping[str, Tensor], noisy: Tensor) -> Tensor:
    """SDXL's `y` (B, 2816), made row by row, because the model's encode_adm takes only one size."""
    if "pooled" not in condition:
        raise ValueError(
            "an SDXL model reads the pooled output of its text encoder beside the prompt, and this "
            "conditioning has none. Encode the prompt with the CLIP of the same checkpoint."
        )
    height, width = size_in_pixels(noisy)
    whole = torch.tensor([sizes_in_options({}, height, width)]).expand(len(noisy), -1)
    return torch.cat(
        [
            sdxl.encode_adm(pooled_output=pooled[None], **dict(zip(SIZES, sizes, strict=True)))
            for pooled, sizes in zip(
                condition["pooled"].cpu(), condition.get("sizes", whole).tolist(), strict=True
            )
        ]
    )


def _random_state(device: torch.device) -> list[Tensor]:
    state = [torch.get_rng_state()]
    return [*state, torch.cuda.get_rng_state(device)] if device.type == "cuda" else state


def _set_random_state(device: torch.device, state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


def _attention_with_gradients(_chosen: object, *arguments: Any, **options: Any) -> Tensor:
    """torch's SDPA. Sage attention has no backward; sub-quadratic keeps every chunk for it."""
    return attention_pytorch(*arguments, **options)


@contextmanager
def _in_training() -> Iterator[None]:
    """Inside, ComfyUI uses no kernels that lack a backward pass."""
    before = management.in_training
    management.in_training = True
    try:
        yield
    finally:
        management.in_training = before


class _LentWeights:
    """Lends a module ordinary tensors that share the storage of its inference tensors.

    Meanwhile `requires_grad` of its other tensors is off.
    """

    def __init__(self, module: torch.nn.Module):
        self._module = module
        self._loans: list[tuple[dict, str, Tensor, Tensor]] = []
        self._frozen: list[Tensor] = []
        self._weights: list[Tensor] = []

    def lend(self) -> None:
        for tensors, name, tensor in _tensors_of(self._module):
            if tensor.is_inference():
                substitute = _without_inference(tensor)
                tensors[name] = substitute
                self._loans.append((tensors, name, tensor, substitute))
            elif tensor.requires_grad:
                tensor.requires_grad_(False)
                self._frozen.append(tensor)
            self._weights.append(tensors[name])

    def are_spoilt(self) -> bool:
        """Has ComfyUI moved weights since? Moving in inference mode makes inference tensors."""
        return any(weight.is_inference() for weight in self._weights)

    def take_back(self) -> None:
        """Put the originals back, except where ComfyUI has moved or replaced a weight since."""
        for tensors, name, original, substitute in self._loans:
            if tensors.get(name) is substitute and substitute.device == original.device:
                tensors[name] = original
        for tensor in self._frozen:
            tensor.requires_grad_(True)
        self._loans, self._frozen, self._weights = [], [], []


def _tensors_of(module: torch.nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Yields (its dict, its name there, tensor) for every parameter and buffer.

    The caller may replace an entry, but a parameter only by a parameter.
    """
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in list(tensors.items()):
                if tensor is not None:
                    yield tensors, name, tensor


def _without_inference(tensor: Tensor) -> Tensor:
    plain = type(tensor.data) is Tensor
    if plain:
        ordinary = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(
            tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
        )
    else:  # a quantized weight is more than one storage
        ordinary = tensor.detach().clone()
    if isinstance(tensor, torch.nn.Parameter):
        ordinary = torch.nn.Parameter(ordinary, requires_grad=False)
    return ordinary


def _resident_copy(model: ModelPatcher) -> ModelPatcher:
    """A copy of the model, with its patches, that is wholly on its device.

    Dynamic VRAM fetches a layer's weights when it runs, and may give their memory to the next
    layer, so that a backward pass would read wrong weights. ComfyUI's own training makes such a
    copy too.
    """
    try:
        return model.clone(disable_dynamic=True)
    except RuntimeError as error:
        raise ValueError(
            "this model cannot be trained on while ComfyUI streams its weights (dynamic VRAM), "
            "because its loader does not say which file to read it from again. Load it with "
            '"Load Checkpoint", or start ComfyUI with --disable-dynamic-vram.'
        ) from error


def _require_trainable(model: ModelPatcher) -> None:
    name = type(model.model).__name__
    unet = model.get_model_object("diffusion_model")
    if not isinstance(unet, UNetModel):
        raise ValueError(
            f"this model is a {name} ({type(unet).__name__}). Hypernetworks are trained on "
            "Stable Diffusion 1, 2 and XL."
        )
    channels = model.get_model_object("latent_format").latent_channels
    if unet.in_channels != channels:
        raise ValueError(
            f"this model ({name}) takes {unet.in_channels} channels where a latent has "
            f"{channels}: it is one for inpainting, editing or video. Train on the plain model; "
            "the network works with this one too."
        )
    if unet.num_classes is not None and not isinstance(model.model, SDXL):
        raise ValueError(
            f"this model ({name}) takes more than a text and the size of a picture, which training "
            "cannot give. Train on a plain Stable Diffusion 1, 2 or XL model."
        )


def _prediction(sampling: object) -> str:
    """ "eps" or "v", by the classes that define how this sampling denoises and counts timesteps."""
    answer, clock = (
        next((kind for kind in type(sampling).__mro__ if method in vars(kind)), object)
        for method in ("calculate_denoised", "timestep")
    )
    known = {EPS: "eps", V_PREDICTION: "v"}
    if answer in known and clock is ModelSamplingDiscrete:
        return known[answer]
    raise ValueError(
        f"this model samples by {answer.__name__} and {clock.__name__}; training knows EPS and "
        "V_PREDICTION with ModelSamplingDiscrete (Stable Diffusion 1, 2 and XL). Leave out the "
        "node that changes the sampling, or take another model."
    )
