"""What a host offers to our nodes: signatures and meanings. Both sides implement exactly these.

Beside them each side has `io`, the V3 module (Schema, ComfyNode, NodeOutput, Custom, Int, Float …),
and `ui`, UI outputs (PreviewImage(images, cls=cls), PreviewText(text)).

Tensors: B batch, T tokens, C width, P pooled width, H W pixel rows and columns, c latent channels,
h w latent rows and columns. IMAGE is (B, H, W, 3) float32 in 0..1. Latents are as the UNet sees
them: scaled. What comes back from here is ordinary tensors, which autograd may use.
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

    from hypernet.apply.fold import AttentionWeights
    from hypernet.training.diffusion import Denoiser
    from hypernet.training.parallel import Processes

    from .sockets import Clip, Conditioning, Model, Vae
    from .standalone.graph import io


Kept = TypeVar("Kept")


class ComfyExtension:
    """Base of the object that comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]: ...


def host_name() -> str:
    """E.g. "ComfyUI 0.33.0", "hypernet stand-in"."""
    ...


# Folders


def input_folder() -> Path:
    """Where users put pictures."""
    ...


def output_folder() -> Path:
    """Where results go."""
    ...


def dataset_folders() -> list[Path] | None:
    """Below which a graph may read folders of pictures; None for everywhere."""
    ...


def network_folders() -> list[Path]:
    """Where hypernetworks lie. New files go into the first."""
    ...


def network_names() -> list[str]:
    """Names relative to those folders, "/" between parts, of .pt and .safetensors files, sorted;
    what the host knows now."""
    ...


def lora_folder() -> Path:
    """Where new LoRA files go."""
    ...


def model_folders(name: str) -> list[Path]:
    """models/<name>, and what the host's configuration has under that name. They need not exist."""
    ...


# Interrupts and progress


class Interrupted(BaseException):
    """Stops a prompt."""


def is_interrupted() -> bool:
    """Has the user asked to stop? Asking does not clear it."""
    ...


def raise_if_interrupted() -> None:
    """Clears the user's wish to stop and raises Interrupted."""
    ...


class Progress:
    """The bar on the node that is being executed; with a title, a line in the terminal, too.

    done: steps of total that an earlier run made. Nothing here raises: ask is_interrupted.
    """

    def __init__(self, total: int, done: int = 0, title: str = ""): ...

    def update(self, step: int, preview: Image.Image | None = None) -> None: ...

    def beside(self, words: str) -> None:
        """What stands at the end of the line; see progress_line.py."""

    def close(self) -> None:
        """Ends the line early."""


def gather_processes() -> Processes:
    """This process and those that train with it, all at the node that is being executed by now."""
    ...


# Talking to the editor


def send_event(name: str, data: dict) -> None:
    """To every open editor, and lost where none is. Never raises.

    data: what JSON can say. Call it where the node or the answer of a route runs: a thread that
    these start finds the editors only in a copy of their context.
    """
    ...


def queued_prompts() -> list[dict]:
    """The graphs that run or wait for their turn, in that order, in API format: node id ->
    {"class_type", "inputs"}."""
    ...


def add_route(method: str, path: str, answer: Callable[[dict[str, str], object], object]) -> None:
    """The server answers `method` ("GET", "POST") at `path` ("/hypernet/…") by answer(query, body),
    on a thread of its own: with what JSON can say, or with the file at a Path.

    body is the request's JSON, None without one. A ValueError of answer becomes a 400 and an
    OSError a 404, with {"error": sentence}. Call it in on_load: afterwards the server runs.
    """
    ...


def kept(name: str, make: Callable[[], Kept]) -> Kept:
    """What the host keeps for the pack under this name as long as it lives; made when it is first
    asked for. Where no editor can be open there is no server to keep it, and each call makes it
    anew."""
    ...


# Pictures and prompts


def encode_pictures(vae: Vae, pictures: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    """(B, H, W, 3) -> two of (B, c, h, w), float32 on the CPU: the mean of each latent and its
    standard deviation, which is 0 where this VAE tells none."""
    ...


def scale_latents(model: Model, samples: Tensor) -> Tensor:
    """A LATENT's samples (B, c, h, w) as the UNet of this model sees them, float32 on the CPU.

    Raises ValueError for a latent of another kind of model.
    """
    ...


def encode_texts(clip: Clip, texts: list[str]) -> list[dict[str, Tensor]]:
    """One per text: {"context": (T, C), "pooled": (P,)}, float32 on the CPU. SDXL reads "pooled";
    it is left out where the text encoder gives none."""
    ...


def conditioning(clip: Clip, text: str) -> Conditioning: ...


def read_conditioning(conditioning: Conditioning) -> list[dict[str, Tensor]]:
    """Its entries as encode_texts gives texts; where an entry names a size, also "sizes" (6,), see
    hypernet/pictures/sdxl_sizes.py."""
    ...


# Memory


def torch_device() -> torch.device:
    """Where the host runs models."""
    ...


def release(*models: Vae | Clip | Model) -> None:
    """They leave the accelerator, to RAM."""
    ...


def unload(folder: Path, *models: Vae | Clip) -> None:
    """Those that left the accelerator leave RAM, too, for a file in the folder that is read when
    they are used again. Weights that the host keeps in a file of its own stay there.

    Raises OSError where the folder has no room.
    """
    ...


def free_memory() -> None:
    """Drops caches that nobody needs."""
    ...


# Models


def load_demo_model(folder: Path) -> tuple[Model, Clip, Vae]:
    """The model that comes with the pack, a diffusers folder."""
    ...


def model_name(model: Model) -> str:
    """File name of the checkpoint, "" where it is unknown."""
    ...


def model_file(model: Model) -> Path | None:
    """The checkpoint, a file or a diffusers folder, where it is known."""
    ...


def changes_of(model: Model | Clip | Vae) -> dict:
    """What it carries beside the weights of its file (LoRAs, a CLIP skip), as
    hypernet.runs.fingerprints.changes_hash takes it."""
    ...


def attention_widths(model: Model) -> dict[str, tuple[int, ...]]:
    """{"attn1": widths, "attn2": widths}: input sizes of to_k.

    Raises ValueError, which names the architecture, where patches have no place.
    """
    ...


def manage(module: torch.nn.Module) -> list:
    """The host moves this module of ours, in place, to where it loads models, and counts its
    memory, for every model that has a patch whose models() is this list."""
    ...


def track_changes(model: Model) -> None:
    """In this clone, texts and noise levels reach attention as ordinary tensors, in inference mode
    too: their _version tells when someone writes into them. Where the model is compiled, its code
    heeds patches."""
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
    """One picture (1, H, W, 3) by the host's own sampler, euler on the normal schedule."""
    ...


def denoiser(
    model: Model,
    *,
    dtype: torch.dtype | None = None,
    offload: bool = False,
    compiled: Callable[[str], object] | None = None,
) -> AbstractContextManager[Denoiser]:
    """The frozen UNet on its device, with parameters that autograd may read; restored afterwards.

    dtype: of its arithmetic, None for the model's own. offload: weights stay in RAM and visit the
    device. compiled: None, or what hears a sentence where compiling fails.
    """
    ...


def attention_weights(model: Model) -> Iterator[AttentionWeights]:
    """The projections of every block, with the changes that the model carries (LoRAs, folded
    networks), under diffusers' names; one block at a time."""
    ...


def with_weight_changes(model: Model, changes: Mapping[str, Tensor]) -> Model:
    """A clone with these added to its weights while it is in use.

    changes: by "<name of a block>.to_k.weight" and so on.
    """
    ...
