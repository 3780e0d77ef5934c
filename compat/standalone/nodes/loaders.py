"""The ComfyUI core nodes that change a model or load a part of one, with its ids and defaults."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import folders
from ..graph import io
from ..model.sampling import DiscreteSampling, scaled_linear, with_zero_snr

if TYPE_CHECKING:
    from ..model.patched_model import Model
    from ..model.text import Clip

log = logging.getLogger(__name__)

DIFFUSION_MODELS, TEXT_ENCODERS = "diffusion_models", "text_encoders"  # in models/
TYPES = ("stable_diffusion", "lumina2", "qwen_image", "cosmos", "flux2")
TYPES_OF_TWO = ("flux",)


class LoraLoaderModelOnly(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraLoaderModelOnly",
            display_name="Load LoRA",
            category="model/loaders",
            description="Applies the part of a LoRA that changes the UNet.",
            inputs=[
                io.Model.Input("model", tooltip="The model to change."),
                io.Combo.Input(
                    "lora_name",
                    options=folders.weight_file_names("loras"),
                    tooltip="A .safetensors file in models/loras, or the path of one.",
                ),
                io.Float.Input(
                    "strength_model",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.01,
                    tooltip="How much it changes; 0 not at all, negative the other way.",
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def validate_inputs(cls, lora_name: str) -> bool | str:
        return _fault("loras", "LoRA", lora_name)

    @classmethod
    def fingerprint_inputs(cls, lora_name: str, **others: object) -> str:
        stat = folders.find_weight_file("loras", "LoRA", lora_name).stat()
        return f"{stat.st_mtime_ns}/{stat.st_size}"

    @classmethod
    def execute(cls, model: Model, lora_name: str, strength_model: float) -> io.NodeOutput:
        from ..model.lora import with_lora

        file = folders.find_weight_file("loras", "LoRA", lora_name, log.warning)
        return io.NodeOutput(with_lora(model, file, strength_model) if strength_model else model)


class VAELoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VAELoader",
            display_name="Load VAE",
            category="model/loaders",
            description="Loads a VAE from a file of its own.",
            inputs=[
                io.Combo.Input(
                    "vae_name",
                    options=folders.weight_file_names("vae"),
                    tooltip="A .safetensors file in models/vae, or the path of one.",
                )
            ],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def validate_inputs(cls, vae_name: str) -> bool | str:
        return _fault("vae", "VAE", vae_name)

    @classmethod
    def execute(cls, vae_name: str) -> io.NodeOutput:
        from ..model.checkpoint import load_vae

        file = folders.find_weight_file("vae", "VAE", vae_name, log.warning)
        return io.NodeOutput(load_vae(file))


class UNETLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UNETLoader",
            display_name="Load Diffusion Model",
            category="model/loaders",
            description="Loads a transformer from a file of its own.",
            inputs=[
                io.Combo.Input(
                    "unet_name",
                    options=folders.weight_file_names(DIFFUSION_MODELS),
                    tooltip="A .safetensors file in models/diffusion_models, or the path of one.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=["default"],
                    advanced=True,
                    tooltip="The numbers of the file. ComfyUI knows 8 bits, too.",
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def validate_inputs(cls, unet_name: str) -> bool | str:
        return _fault(DIFFUSION_MODELS, "model", unet_name)

    @classmethod
    def execute(cls, unet_name: str, weight_dtype: str) -> io.NodeOutput:
        from ..model.checkpoint import load_transformer_file

        file = folders.find_weight_file(DIFFUSION_MODELS, "model", unet_name, log.warning)
        return io.NodeOutput(load_transformer_file(file))


class CLIPLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CLIPLoader",
            display_name="Load CLIP",
            category="model/loaders",
            description="Loads the text model of a transformer from a file of its own.",
            inputs=[_text_file("clip_name"), _text_type(TYPES), _text_device()],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def validate_inputs(cls, clip_name: str) -> bool | str:
        return _fault(TEXT_ENCODERS, "text model", clip_name)

    @classmethod
    def execute(cls, clip_name: str, type: str, device: str = "default") -> io.NodeOutput:
        return _text([clip_name], type, device)


class DualCLIPLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DualCLIPLoader",
            display_name="DualCLIPLoader",
            category="model/loaders",
            description="Loads the two text models of a transformer from files of their own.",
            inputs=[
                _text_file("clip_name1"),
                _text_file("clip_name2"),
                _text_type(TYPES_OF_TWO),
                _text_device(),
            ],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def validate_inputs(cls, clip_name1: str, clip_name2: str) -> bool | str:
        faults = [_fault(TEXT_ENCODERS, "text model", name) for name in (clip_name1, clip_name2)]
        return next((fault for fault in faults if fault is not True), True)

    @classmethod
    def execute(
        cls, clip_name1: str, clip_name2: str, type: str, device: str = "default"
    ) -> io.NodeOutput:
        return _text([clip_name1, clip_name2], type, device)


class CLIPSetLastLayer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CLIPSetLastLayer",
            display_name="CLIP Set Last Layer",
            category="model/conditioning",
            description="Reads the text model at an earlier layer (clip skip).",
            inputs=[
                io.Clip.Input("clip", tooltip="The text model of the checkpoint."),
                io.Int.Input(
                    "stop_at_clip_layer",
                    default=-1,
                    min=-24,
                    max=-1,
                    advanced=True,
                    tooltip="Layer counted from the end: −1 the last, −2 for models made so.",
                ),
            ],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, clip: Clip, stop_at_clip_layer: int) -> io.NodeOutput:
        return io.NodeOutput(clip.with_layer(stop_at_clip_layer))


class ModelSamplingDiscrete(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ModelSamplingDiscrete",
            display_name="ModelSamplingDiscrete",
            category="model/patch",
            description="Says what a model predicts, where its file does not.",
            inputs=[
                io.Model.Input("model", tooltip="The model."),
                io.Combo.Input(
                    "sampling",
                    options=["eps", "v_prediction"],
                    tooltip="The noise, or v. ComfyUI knows four more kinds.",
                ),
                io.Boolean.Input(
                    "zsnr",
                    default=False,
                    advanced=True,
                    tooltip="The last noise level is pure noise (zero terminal SNR).",
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: Model, sampling: str, zsnr: bool = False) -> io.NodeOutput:
        levels = with_zero_snr(scaled_linear()) if zsnr else scaled_linear()
        prediction = {"eps": "eps", "v_prediction": "v"}[sampling]
        return io.NodeOutput(model.with_sampling(DiscreteSampling(levels, prediction)))


MODEL_NODES: list[type[io.ComfyNode]] = [
    LoraLoaderModelOnly,
    VAELoader,
    UNETLoader,
    CLIPLoader,
    DualCLIPLoader,
    CLIPSetLastLayer,
    ModelSamplingDiscrete,
]


def _fault(kind: str, what: str, name: str) -> bool | str:
    try:
        folders.find_weight_file(kind, what, name)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return True


def _text_file(name: str) -> io.Combo.Input:
    return io.Combo.Input(
        name,
        options=folders.weight_file_names(TEXT_ENCODERS),
        tooltip="A .safetensors file in models/text_encoders, or the path of one.",
    )


def _text_type(types: Sequence[str]) -> io.Combo.Input:
    tooltip = "What the text is for, where the file serves several models."
    return io.Combo.Input("type", options=list(types), tooltip=tooltip)


def _text_device() -> io.Combo.Input:
    tooltip = "Where the text model computes: on the card, or on the processor."
    options = ["default", "cpu"]
    return io.Combo.Input("device", options=options, optional=True, advanced=True, tooltip=tooltip)


def _text(names: Sequence[str], kind: str, device: str) -> io.NodeOutput:
    from ..model.checkpoint import load_text

    found = [
        folders.find_weight_file(TEXT_ENCODERS, "text model", name, log.warning) for name in names
    ]
    return io.NodeOutput(load_text(found, kind, on_cpu=device == "cpu"))
