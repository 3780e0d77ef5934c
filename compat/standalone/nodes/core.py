"""The ComfyUI core nodes that are needed to make a picture, with its ids, sockets and defaults.

A workflow made in ComfyUI runs here unchanged if it uses only these nodes, and the samplers and
schedulers in `sampling`. The modules that do the work are imported when a node runs, so nothing
here imports diffusers.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

from .. import folders
from ..graph import io, ui
from ..model.sampling import SAMPLERS, SCHEDULERS
from .latents import EmptyLatentImage, EmptySD3LatentImage
from .loaders import MODEL_NODES
from .preview_any import PreviewAny

if TYPE_CHECKING:
    from ..model.patched_model import Model
    from ..model.text import Clip
    from ..model.vae import Vae

log = logging.getLogger(__name__)

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class CheckpointLoaderSimple(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CheckpointLoaderSimple",
            display_name="Load Checkpoint",
            category="model/loaders",
            description="Loads Stable Diffusion 1, 2 or XL, or the folder of a transformer.",
            inputs=[
                io.Combo.Input(
                    "ckpt_name",
                    options=folders.checkpoint_names(),
                    tooltip="A .safetensors file or a diffusers folder in models/checkpoints, or "
                    "the path of one.",
                )
            ],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def validate_inputs(cls, ckpt_name: str) -> bool | str:
        try:
            folders.find_checkpoint(ckpt_name)
        except FileNotFoundError as error:
            return f'{error} The editor\'s menu has "Hypernet: use the demo model".'
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, ckpt_name: str) -> io.NodeOutput:
        from ..model.checkpoint import load_checkpoint

        return io.NodeOutput(*load_checkpoint(folders.find_checkpoint(ckpt_name, log.warning)))


class CLIPTextEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CLIPTextEncode",
            display_name="CLIP Text Encode (Prompt)",
            category="model/conditioning",
            description="Turns a prompt into what guides the model.",
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="The prompt; (word:1.2) weighs a word.",
                ),
                io.Clip.Input("clip", tooltip="The text model of the checkpoint."),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, text: str, clip: Clip) -> io.NodeOutput:
        from ..model.models import conditioning

        return io.NodeOutput(conditioning(clip, text))


class KSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KSampler",
            display_name="KSampler",
            category="model/sampling",
            description="Denoises latents, guided by the positive and away from the negative.",
            inputs=[
                io.Model.Input("model", tooltip="The model that denoises."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=True,
                    tooltip="What the noise is made from.",
                ),
                io.Int.Input(
                    "steps", default=20, min=1, max=10000, tooltip="How many denoising steps."
                ),
                io.Float.Input(
                    "cfg",
                    default=8.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How strongly the prompt is followed; 1 leaves the negative out.",
                ),
                io.Combo.Input(
                    "sampler_name", options=list(SAMPLERS), tooltip="How a step is made."
                ),
                io.Combo.Input(
                    "scheduler", options=list(SCHEDULERS), tooltip="How noise levels are spaced."
                ),
                io.Conditioning.Input("positive", tooltip="What the pictures shall show."),
                io.Conditioning.Input("negative", tooltip="What they shall not show."),
                io.Latent.Input("latent_image", tooltip="Where to start."),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="1 starts from noise alone; less keeps the structure of the latents.",
                ),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: list,
        negative: list,
        latent_image: dict,
        denoise: float = 1.0,
    ) -> io.NodeOutput:
        from ..model.sampling import sample

        samples = sample(
            model,
            positive,
            negative,
            latent_image["samples"],
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler=sampler_name,
            scheduler=scheduler,
            denoise=denoise,
        )
        rest = {k: v for k, v in latent_image.items() if k != "downscale_ratio_spacial"}
        return io.NodeOutput({**rest, "samples": samples})


class VAEEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VAEEncode",
            display_name="VAE Encode",
            category="model/latent",
            description="Turns pictures into latents.",
            inputs=[
                io.Image.Input("pixels", tooltip="The pictures."),
                io.Vae.Input("vae", tooltip="The VAE of the checkpoint."),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, pixels: Tensor, vae: Vae) -> io.NodeOutput:
        return io.NodeOutput({"samples": vae.encode(pixels)})


class VAEDecode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VAEDecode",
            display_name="VAE Decode",
            category="model/latent",
            description="Turns latents into pictures.",
            inputs=[
                io.Latent.Input("samples", tooltip="The latents."),
                io.Vae.Input("vae", tooltip="The VAE of the checkpoint."),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, samples: dict, vae: Vae) -> io.NodeOutput:
        return io.NodeOutput(vae.decode(samples["samples"]))


class LoadImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadImage",
            display_name="Load Image",
            category="image",
            description="Reads a picture, or every frame of an animation.",
            inputs=[
                io.Combo.Input(
                    "image",
                    options=_picture_names(),
                    upload=io.UploadType.image,
                    tooltip='A file of the input folder; "name [output]" means the output folder.',
                )
            ],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        try:
            path = folders.resolve(image)
        except ValueError as error:
            return str(error)
        return path.is_file() or f'image "{image}" is not in {path.parent}; put it there.'

    @classmethod
    def fingerprint_inputs(cls, image: str) -> str:
        return hashlib.sha256(folders.resolve(image).read_bytes()).hexdigest()

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        return io.NodeOutput(*open_pictures(folders.resolve(image, log.warning)))


class SaveImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveImage",
            display_name="Save Image",
            category="image",
            description="Writes pictures to the output folder as PNG, with the workflow in them.",
            inputs=[
                io.Image.Input("images", tooltip="The pictures."),
                io.String.Input(
                    "filename_prefix",
                    default="ComfyUI",
                    tooltip="Start of the file name; %width%, %height%, %year%, %month%, %day%, "
                    "%hour%, %minute% and %second% are filled in, a/b makes a subfolder.",
                ),
            ],
            outputs=[io.Image.Output("images")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: Tensor, filename_prefix: str = "ComfyUI") -> io.NodeOutput:
        prefix = _filled_in(filename_prefix, images)
        saved = ui.ImageSaveHelper.get_save_images_ui(images, prefix, cls=cls)
        return io.NodeOutput(images, ui=saved)


class PreviewImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PreviewImage",
            display_name="Preview Image",
            category="image",
            description="Writes pictures to the temp folder.",
            inputs=[io.Image.Input("images", tooltip="The pictures.")],
            outputs=[io.Image.Output("images")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: Tensor) -> io.NodeOutput:
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))


CORE_NODES: list[type[io.ComfyNode]] = [
    CheckpointLoaderSimple,
    CLIPTextEncode,
    EmptyLatentImage,
    EmptySD3LatentImage,
    KSampler,
    VAEEncode,
    VAEDecode,
    LoadImage,
    SaveImage,
    PreviewImage,
    PreviewAny,
    *MODEL_NODES,
]


def open_pictures(path: Path) -> tuple[Tensor, Tensor]:
    """All frames that have the size of the first, upright: (B, H, W, 3) in 0..1, and their masks.

    Masks are (B, H, W), 1 where transparent; (B, 64, 64) of zeros if nothing is transparent.
    """
    pictures, masks = [], []
    with Image.open(path) as file:
        for frame in ImageSequence.Iterator(file):
            frame = ImageOps.exif_transpose(frame)
            if frame.mode == "I":  # 16 bits per pixel
                frame = frame.point(lambda level: level * (1 / 255))
            colours = _to_tensor(frame.convert("RGB"))
            if pictures and colours.shape != pictures[0].shape:
                continue
            pictures.append(colours)
            if frame.has_transparency_data:
                masks.append(1 - _to_tensor(frame.convert("RGBA").getchannel("A")))
            else:
                masks.append(torch.zeros(64, 64))
    return torch.stack(pictures), torch.stack(masks)


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture, dtype=np.float32) / 255)


def _picture_names() -> list[str]:
    folder = folders.input_folder()
    if not folder.is_dir():
        return []
    return sorted(file.name for file in folder.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)


def _filled_in(prefix: str, images: Tensor) -> str:
    now = time.localtime()
    values = {
        "width": images.shape[2],
        "height": images.shape[1],
        "year": now.tm_year,
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", str(value))
    return prefix
