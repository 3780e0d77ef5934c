"""For ComfyUI's custom_nodes: a CLIP with random weights that writes text about a picture, of the
classes that core has for Qwen3-VL. Generate Text of core asks it as it asks the real one."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import comfy.sd
import torch
from comfy.text_encoders import qwen3vl

KIND = "tiny"
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
VISION = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_heads": 2,
    "depth": 2,
    "deepstack_visual_indexes": [0],
}


class TinyDescriber:
    RETURN_TYPES = ("CLIP",)
    FUNCTION = "load"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 (ComfyUI's name)
        return {"required": {}}

    def load(self):
        qwen3vl.QWEN3VL_CONFIGS[KIND] = partial(qwen3vl.Qwen3VL_4BConfig, **SHAPE)
        qwen3vl.QWEN3VL_VISION[KIND] = VISION
        target = SimpleNamespace(
            params={},
            clip=qwen3vl.te(model_type=KIND),
            tokenizer=qwen3vl.tokenizer(model_type=KIND),
        )
        clip = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
        draw = torch.Generator().manual_seed(0)
        for parameter in clip.cond_stage_model.parameters():
            parameter.data.normal_(0, 0.3, generator=draw)
        return (clip,)


NODE_CLASS_MAPPINGS = {"TinyDescriber": TinyDescriber}
