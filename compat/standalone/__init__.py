"""The stand-in host: runs the same nodes and the same workflow JSON without ComfyUI.

folders, progress: what the host knows of the disk and of the user's wishes. io, ui, objectinfo:
the V3 node types. workflow → validation → executor: from a file to results. checkpoint, with
single_file and diffusers_folder: what a model on the disk is. models, core_nodes, model_nodes:
diffusers behind ComfyUI's names; they are imported when first used, because importing the pack
must not import diffusers. command: `hypernet run` and `hypernet inspect`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor, device
from torch import dtype as number_type

from hypernet.apply.fold import AttentionWeights

from .folders import (
    dataset_folders,
    input_folder,
    lora_folder,
    model_folders,
    network_folders,
    network_names,
    output_folder,
)
from .graph import io, ui
from .many_processes import gather_processes
from .progress import Interrupted, Progress, is_interrupted, raise_if_interrupted
from .routes import add_route, queued_prompts, send_event

__all__ = [
    "ComfyExtension",
    "Interrupted",
    "Progress",
    "add_route",
    "attention_weights",
    "attention_widths",
    "changes_of",
    "conditioning",
    "dataset_folders",
    "denoiser",
    "encode_pictures",
    "encode_texts",
    "free_memory",
    "gather_processes",
    "generate",
    "host_name",
    "input_folder",
    "io",
    "is_interrupted",
    "load_demo_model",
    "lora_folder",
    "manage",
    "model_file",
    "model_folders",
    "model_name",
    "network_folders",
    "network_names",
    "output_folder",
    "queued_prompts",
    "raise_if_interrupted",
    "read_conditioning",
    "release",
    "scale_latents",
    "send_event",
    "torch_device",
    "track_changes",
    "ui",
    "unload",
    "with_weight_changes",
]


class ComfyExtension:
    """Base of the object that comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError(f"{type(self).__name__} has no get_node_list.")


def host_name() -> str:
    return "hypernet stand-in"


def encode_pictures(vae: Any, pictures: Tensor, model: Any) -> tuple[Tensor, Tensor]:
    from .model import models

    return models.encode_pictures(vae, pictures, model)


def scale_latents(model: Any, samples: Tensor) -> Tensor:
    from .model import models

    return models.scale_latents(model, samples)


def encode_texts(clip: Any, texts: list[str]) -> list[dict[str, Tensor]]:
    from .model import models

    return models.encode_texts(clip, texts)


def conditioning(clip: Any, text: str) -> list:
    from .model import models

    return models.conditioning(clip, text)


def read_conditioning(conditioning: list) -> list[dict[str, Tensor]]:
    from .model import models

    return models.read_conditioning(conditioning)


def release(*given: Any) -> None:
    from .model import models

    models.release(*given)


def unload(folder: Path, *given: Any) -> None:
    from .model import models

    models.unload(folder, *given)


def load_demo_model(folder: Path) -> tuple[Any, Any, Any]:
    from .model.checkpoint import load_checkpoint

    return load_checkpoint(folder)


def denoiser(
    model: Any,
    *,
    dtype: number_type | None = None,
    offload: bool = False,
    compiled: Callable[[str], object] | None = None,
) -> AbstractContextManager:
    from .model import models

    return models.denoiser(model, dtype=dtype, offload=offload, compiled=compiled)


def attention_widths(model: Any) -> dict[str, tuple[int, ...]]:
    from .model import models

    return models.attention_widths(model)


def manage(module: Any) -> list:
    return []  # no memory is counted here; patches bring their weights with to(device)


def track_changes(model: Any) -> None:
    """Nothing to do: `unet.run_unet` gives ordinary tensors to every model."""


def model_name(model: Any) -> str:
    from .model import models

    return models.model_name(model)


def model_file(model: Any) -> Path | None:
    from .model import models

    return models.model_file(model)


def generate(
    model: Any,
    vae: Any,
    positive: list,
    negative: list,
    *,
    width: int,
    height: int,
    seed: int,
    steps: int,
    cfg: float,
) -> Tensor:
    from .model import models

    return models.generate(
        model,
        vae,
        positive,
        negative,
        width=width,
        height=height,
        seed=seed,
        steps=steps,
        cfg=cfg,
    )


def torch_device() -> device:
    from .model.checkpoint import accelerator

    return accelerator()[0]


def free_memory() -> None:
    from .model import models

    models.free_memory()


def attention_weights(model: Any) -> Iterator[AttentionWeights]:
    from .model import models

    return models.attention_weights(model)


def changes_of(model: Any) -> dict[str, Any]:
    from .model import models

    return models.changes_of(model)


def with_weight_changes(model: Any, changes: Mapping[str, Tensor]) -> Any:
    from .model import models

    return models.with_weight_changes(model, changes)
