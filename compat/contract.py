"""The contract: all names that every host offers to the nodes, with signatures and meanings.

Besides these, each host has `io`, the V3 module (Schema, ComfyNode, NodeOutput, Custom, Int …), and
`ui`, the UI outputs (PreviewImage(images, cls=cls), PreviewText(text)).

Tensors: B batch, T tokens, C width, P pooled width, H W pixel rows and columns, c latent channels,
h w latent rows and columns. IMAGE is (B, H, W, 3) float32 in 0..1. Latents are scaled, as the UNet
sees them. All returned tensors are ordinary ones, which autograd can use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from hypernet.apply.effect import Effect
    from hypernet.apply.fold import AttentionWeights
    from hypernet.apply.fold_sites import SiteWeights, Target
    from hypernet.formats.hns import Network
    from hypernet.training.diffusion import Denoiser
    from hypernet.training.parallel import Processes

    from .sockets import Clip, Conditioning, Model, Vae
    from .standalone.graph import io


Kept = TypeVar("Kept")


class ComfyExtension:
    """The base class of the object that comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once, before get_node_list."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]: ...


def host_name() -> str:
    """The host's name and version, such as "ComfyUI 0.33.0" or "hypernet stand-in"."""
    ...


# Folders


def input_folder() -> Path:
    """The folder where users put pictures."""
    ...


def output_folder() -> Path:
    """The folder where results go."""
    ...


def dataset_folders() -> list[Path] | None:
    """The folders in which graphs may read pictures; None for everywhere."""
    ...


def network_folders() -> list[Path]:
    """The folders with hypernetworks. New files go into the first."""
    ...


def network_names() -> list[str]:
    """The .pt and .safetensors files that the host knows now, sorted.

    Names are relative to those folders, with "/" between parts.
    """
    ...


def lora_folder() -> Path:
    """The folder where new LoRA files go."""
    ...


def model_folders(name: str) -> list[Path]:
    """models/<name>, and the folders that the host's configuration has under that name.

    They need not exist.
    """
    ...


# Interrupts and progress


class Interrupted(BaseException):
    """Raised to end the running prompt when the user has interrupted it."""


def is_interrupted() -> bool:
    """Has the user interrupted the prompt? Does not clear the interrupt."""
    ...


def raise_if_interrupted() -> None:
    """If the user has interrupted the prompt, clear the interrupt and raise Interrupted."""
    ...


class Progress:
    """The bar on the node that is being executed and, with a title, a line in the terminal.

    done: how many steps of the total were done earlier. on_node: if not, there is only the line.
    No method raises Interrupted; use is_interrupted.
    """

    def __init__(self, total: int, done: int = 0, title: str = "", on_node: bool = True): ...

    def update(self, step: int, preview: Image.Image | None = None) -> None: ...

    def beside(self, words: str) -> None:
        """Show these words at the end of the line; see progress_line.py."""

    def close(self) -> None:
        """End the line early."""


def gather_processes() -> Processes:
    """This process and those that train with it. All have now reached the node being executed."""
    ...


# Talking to the editor


def send_event(name: str, data: dict) -> None:
    """Send an event to every open editor. Never raises; without editors, the event is lost.

    data: plain data for JSON. Call this on the thread of the node or of a route's answer. Another
    thread finds the editors only if it runs in a copy of their context.
    """
    ...


def queued_prompts() -> list[dict]:
    """The graphs that are running or waiting, in that order.

    They are in API format: node id -> {"class_type", "inputs"}.
    """
    ...


def add_route(method: str, path: str, answer: Callable[[dict[str, str], object], object]) -> None:
    """Let answer(query, body) answer requests of this method ("GET", "POST") and path.

    body is the request's JSON, or None. answer runs on a thread of its own. It returns plain data
    for JSON, or the Path of a file to send. Its ValueError becomes a 400 and its OSError a 404,
    with {"error": sentence}. Must be called in on_load, before the server runs.
    """
    ...


def kept(name: str, make: Callable[[], Kept]) -> Kept:
    """What the host keeps for the pack under this name as long as it lives; made when it is first
    asked for. Where no editor can be open there is no server to keep it, and each call makes it
    anew."""
    ...


# Pictures and prompts


def encode_pictures(vae: Vae, pictures: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    """Encode pictures (B, H, W, 3) to mean and standard deviation of their latents.

    Both are (B, c, h, w), or (B, c, 1, h, w) for a video model. They are
    float32 on the CPU. The deviation is 0 if the VAE gives none.
    """
    ...


def scale_latents(model: Model, samples: Tensor) -> Tensor:
    """Scale a LATENT's samples (B, c, h, w) as the model sees them; float32 on the CPU.

    For a video model samples and result are (B, c, frames, h, w).

    Raises ValueError for latents of another kind of model.
    """
    ...


def encode_texts(
    clip: Clip, texts: list[str], model: Model | None = None
) -> list[dict[str, Tensor]]:
    """For each text {"context": (T, C), "pooled": (P,)}, float32 on the CPU.

    SDXL needs "pooled". It is missing if the text encoder gives none. What else an encoder gives
    is there under the host's name, a mask as "attention_mask" (T,). model: if it has a text adapter
    of its own, as Anima has, the context is what the adapter makes of it.
    """
    ...


def conditioning(clip: Clip, text: str) -> Conditioning:
    """The text's CONDITIONING, as the host's sampler takes it."""
    ...


def read_conditioning(
    conditioning: Conditioning, model: Model | None = None
) -> list[dict[str, Tensor]]:
    """The entries of a CONDITIONING, in the form that encode_texts returns.

    An entry that names a size also has "sizes" (6,); see hypernet/pictures/sdxl_sizes.py.
    """
    ...


# Memory


def torch_device() -> torch.device:
    """The device on which the host runs models."""
    ...


def release(*models: Vae | Clip | Model) -> None:
    """Move the models from the device to RAM."""
    ...


def unload(folder: Path, *models: Vae | Clip) -> None:
    """Move models from RAM to files in the folder. They are read again when they are used.

    The models must have been released before. Weights that the host reads from a file of its own
    are not written again. Raises OSError if the folder has no room.
    """
    ...


def free_memory() -> None:
    """Free cached memory that is not in use."""
    ...


# Models


def load_demo_model(folder: Path) -> tuple[Model, Clip, Vae]:
    """Load the model that comes with the pack. folder: in the format of diffusers."""
    ...


def model_name(model: Model) -> str:
    """The file name of the model's checkpoint; "" if it is unknown."""
    ...


def model_file(model: Model) -> Path | None:
    """The model's checkpoint, a file or a diffusers folder; None if it is unknown."""
    ...


def changes_of(model: Model | Clip | Vae) -> dict:
    """Changes to a model beside its file's weights, such as LoRAs or CLIP skip.

    They are in the form that hypernet.runs.fingerprints.changes_hash takes.
    """
    ...


def attention_widths(model: Model) -> dict[str, tuple[int, ...]]:
    """The input sizes of what makes keys and values: {stream: widths}, see network/places.py.

    In a UNet the streams are "attn1" and "attn2". Raises ValueError naming the architecture if the
    census does not know it.
    """
    ...


def architecture(model: Model) -> str:
    """What kind of model it is, as hypernet.families says: "unet", "flux", "anima" …

    Raises ValueError as attention_widths does.
    """
    ...


def pixels_per_latent(model: Model) -> int:
    """How many pixels a row or column of the model's latents stands for."""
    ...


def with_network(model: Model, network: Network, effect: Effect, precision: str = "exact") -> Model:
    """A clone of the model on which the network acts, after those that act on it already.

    precision: "exact", in float32 where the network has nothing else, or "as the model", in the
    model's dtype. The host moves the network's weights with the model. Raises ValueError as
    attention_widths does.
    """
    ...


def has_prompt_hooks() -> bool:
    """Has the host hooks, which act on one conditioning alone?"""
    ...


def hooks_with_network(network: Network, effect: Effect, hooks: object | None) -> object:
    """These hooks (HOOKS of ComfyUI), and one that lets the network act where they are.

    Its keyframes are factors of the strength. The effect's schedule is replaced by the start that
    the network's training recorded. Sampling raises ValueError if the network does not fit.
    """
    ...


def generate(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    *,
    width: int,
    height: int,
    seed: int,
    steps: int,
    cfg: float,
) -> Tensor:
    """Generate one picture (1, H, W, 3) by the host's sampler euler on the normal schedule."""
    ...


def prediction(model: Model) -> str:
    """What the model predicts: "eps", "v" or "flow"; see hypernet/training/diffusion.py.

    Raises ValueError if it is something that training does not know.
    """
    ...


def denoiser(
    model: Model,
    *,
    dtype: torch.dtype | None = None,
    swapped: int = 0,
    compiled: Callable[[str], object] | None = None,
) -> AbstractContextManager[Denoiser]:
    """Inside, the UNet is frozen, on its device and ready for autograd; then all is restored.

    dtype: in which it computes; None for the model's own. swapped: the weights of so many blocks
    stay in RAM and visit the device. compiled: gets a sentence if compiling fails; None means not
    to compile.
    """
    ...


def attention_weights(model: Model) -> Iterator[AttentionWeights | SiteWeights]:
    """Yields the projections of each attention block, under diffusers' names.

    In transformers, each layer that makes keys or values. They include changes that the model
    carries, such as LoRAs and folded networks.
    """
    ...


def with_weight_changes(model: Model, changes: Mapping[Target, Tensor]) -> Model:
    """A clone of the model with these changes added to its weights.

    changes: by the name of a weight, "<name of a block>.to_k.weight" and so on, or by that and the
    first of the rows that change.
    """
    ...
