"""The text models in files: which they are, and what they make of a prompt together.

One file or two make the text of one family of transformers. A file is known by its weights, and
where one serves several families, the loader's `type` tells which, as in ComfyUI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..clip_vocabulary import clip_tokenizer
from ..diffusers_folder import without_transformers_bars
from ..parts import needs_diffusers
from ..pipeline_text import PipelineText, text_pipeline
from ..single_file import clip_model
from .anima_text import AnimaText
from .families import check_numbers
from .tokenizers import GEMMA, QWEN, T5, Kind, find_tokenizer
from .weights import StateDict, build, count, open_weights

SMALL_QWEN = 1024  # the width of Anima's text model, and of none that other families read


@dataclass(frozen=True, kw_only=True)
class TextKind:
    """mark: a weight that tells it. kind: transformers' class. prefix: of the weights' names."""

    title: str
    mark: str
    kind: str
    config: Callable[[StateDict], dict[str, Any]]
    tokenizer: Kind
    prefix: str = "model."
    left_out: tuple[str, ...] = ("lm_head.", "spiece_model")


@dataclass(frozen=True, kw_only=True)
class TextModel:
    """On the CPU."""

    title: str
    module: Any
    tokenizer: Any
    file: Path

    @property
    def width(self) -> int:
        return self.module.config.hidden_size


Text = PipelineText | AnimaText


def read_text(files: Sequence[Path], kind: str, device: torch.device) -> Text:
    """CLIP of these files. kind: the loader's `type`.

    The models are float32 on the CPU and bfloat16 on an accelerator. Raises ValueError if a file is
    of another kind, or if no family reads these together, FileNotFoundError without tokenizer.
    """
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    with needs_diffusers(files[0]), without_transformers_bars():
        import diffusers

        read = sorted((read_one(file, dtype) for file in files), key=lambda each: each.title)
        if is_anima(read, kind):
            (qwen,) = read
            tokens = find_tokenizer(T5, qwen.file)
            return AnimaText(qwen.module, qwen.tokenizer, tokens, device)
        pipeline, transformer = reader_of(read, kind)
        parts: dict[str, Any] = {}
        for number, each in enumerate(read, start=1):
            ending = "" if number == 1 else f"_{number}"
            parts |= {f"text_encoder{ending}": each.module, f"tokenizer{ending}": each.tokenizer}
        made = text_pipeline(getattr(diffusers, pipeline), parts)
        return PipelineText(made, transformer, device)


def is_anima(read: Sequence[TextModel], kind: str) -> bool:
    return (
        [each.title for each in read] == ["Qwen3"]
        and kind not in ("lumina2", "flux2")
        and read[0].width <= SMALL_QWEN
    )


def reader_of(read: Sequence[TextModel], kind: str) -> tuple[str, str]:
    """The classes of pipeline and transformer."""
    titles = tuple(each.title for each in read)
    found = READERS.get((titles, kind)) or READERS.get((titles, ""))
    if found is None:
        files = " and ".join(f'"{each.file}" ({each.title})' for each in read)
        raise ValueError(
            f'no model that is read from files here takes its text from {files} as type "{kind}". '
            f"Known are {', '.join(' with '.join(names) for names, _ in READERS)}."
        )
    return found


def read_one(file: Path, dtype: torch.dtype) -> TextModel:
    weights = open_weights(file)
    check_numbers(file, weights)
    if CLIP_MARK in weights:
        module, _ = clip_model(file, weights, "quick_gelu")
        return TextModel(
            title="CLIP", module=module.to(dtype), tokenizer=clip_tokenizer(), file=file
        )
    known = next((each for each in KINDS if each.mark in weights), None)
    if known is None:
        raise ValueError(
            f'"{file}" holds no text model that is read from a file here; its first weights are '
            f"{', '.join(sorted(weights)[:3])}. Known are CLIP, "
            f"{', '.join(each.title for each in KINDS)}."
        )
    tokenizer = find_tokenizer(known.tokenizer, file)
    return TextModel(
        title=known.title, module=text_module(file, known, weights, dtype), tokenizer=tokenizer,
        file=file,
    )  # fmt: skip


def text_module(file: Path, known: TextKind, weights: StateDict, dtype: torch.dtype) -> nn.Module:
    import transformers

    make: Any = getattr(transformers, known.kind)
    sizes = known.config(weights)
    config = make.config_class(**sizes)
    named = {
        name.removeprefix(known.prefix): weight
        for name, weight in weights.items()
        if not name.startswith(known.left_out)
    }
    if known.title == "T5":  # two names of one weight
        named["encoder.embed_tokens.weight"] = named["shared.weight"]
    module = build(file, lambda: make(config), named, dtype)
    small = sizes | {"num_hidden_layers": 0, "vocab_size": 1}
    compute_buffers(module, lambda: make(make.config_class(**small)))
    return module


def compute_buffers(module: nn.Module, make_small: Callable[[], nn.Module]) -> None:
    """Numbers that no file has, as the frequencies of positions, from a model without layers."""
    missing = [name for name, buffer in module.named_buffers() if buffer.is_meta]
    computed = dict(make_small().named_buffers()) if missing else {}
    for name in missing:
        owner, _, last = name.rpartition(".")
        module.get_submodule(owner).register_buffer(last, computed[name], persistent=False)


# --- configurations from shapes ------------------------------------------------------------------


def llama(weights: StateDict, head: int) -> dict[str, Any]:
    """What Qwen and Gemma have in common. head: the width of one."""
    words, width = weights["model.embed_tokens.weight"].shape
    first = "model.layers.0."
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": weights[f"{first}mlp.up_proj.weight"].shape[0],
        "num_hidden_layers": count(weights, r"model\.layers\.(\d+)\."),
        "num_attention_heads": weights[f"{first}self_attn.q_proj.weight"].shape[0] // head,
        "num_key_value_heads": weights[f"{first}self_attn.k_proj.weight"].shape[0] // head,
        "rms_norm_eps": 1e-6,
    }


def qwen3(weights: StateDict) -> dict[str, Any]:
    head = weights["model.layers.0.self_attn.q_norm.weight"].shape[0]
    rope = {"rope_type": "default", "rope_theta": 1e6}
    return llama(weights, head) | {"head_dim": head, "rope_parameters": rope}


def gemma2(weights: StateDict) -> dict[str, Any]:
    """With the 8 heads of the model of 2 billion parameters."""
    head = weights["model.layers.0.self_attn.q_proj.weight"].shape[0] // 8
    return llama(weights, head) | {"head_dim": head, "query_pre_attn_scalar": head}


def qwen_vl(weights: StateDict) -> dict[str, Any]:
    """The words alone, without what sees pictures; heads are 128 wide in all sizes."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    return llama(weights, 128) | {"rope_parameters": rope}


def t5(weights: StateDict) -> dict[str, Any]:
    words, width = weights["shared.weight"].shape
    first = "encoder.block.0.layer."
    buckets, heads = weights[f"{first}0.SelfAttention.relative_attention_bias.weight"].shape
    gated = f"{first}1.DenseReluDense.wi_0.weight" in weights
    inner = weights[f"{first}1.DenseReluDense.{'wi_0' if gated else 'wi'}.weight"]
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": weights[f"{first}0.SelfAttention.q.weight"].shape[0] // heads,
        "d_ff": inner.shape[0],
        "num_layers": count(weights, r"encoder\.block\.(\d+)\."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
    }


CLIP_MARK = "text_model.encoder.layers.0.mlp.fc1.weight"
KINDS = (
    TextKind(
        title="T5",
        mark="encoder.block.0.layer.0.SelfAttention.q.weight",
        kind="T5EncoderModel",
        config=t5,
        tokenizer=T5,
        prefix="",
        left_out=("decoder.", "lm_head.", "spiece_model"),
    ),
    TextKind(
        title="Qwen3",
        mark="model.layers.0.self_attn.q_norm.weight",
        kind="Qwen3Model",
        config=qwen3,
        tokenizer=QWEN,
    ),
    TextKind(
        title="Qwen2.5-VL",
        mark="model.layers.0.self_attn.q_proj.bias",
        kind="Qwen2_5_VLTextModel",
        config=qwen_vl,
        tokenizer=QWEN,
        left_out=("lm_head.", "visual."),
    ),
    TextKind(
        title="Gemma 2",
        mark="model.layers.0.post_feedforward_layernorm.weight",
        kind="Gemma2Model",
        config=gemma2,
        tokenizer=GEMMA,
    ),
)
# (titles in the order of the alphabet, the loader's type or "" for all) → pipeline, transformer
READERS = {
    (("CLIP", "T5"), ""): ("FluxPipeline", "FluxTransformer2DModel"),
    (("Qwen3",), "flux2"): ("Flux2KleinPipeline", "Flux2Transformer2DModel"),
    (("Qwen3",), ""): ("ZImagePipeline", "ZImageTransformer2DModel"),
    (("Gemma 2",), ""): ("Lumina2Pipeline", "Lumina2Transformer2DModel"),
    (("Qwen2.5-VL",), ""): ("QwenImagePipeline", "QwenImageTransformer2DModel"),
    (("T5",), "cosmos"): ("Cosmos2TextToImagePipeline", "CosmosTransformer3DModel"),
}
