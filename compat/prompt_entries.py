"""Reads CONDITIONING, which has the same form in ComfyUI and in the stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hypernet.pictures.sdxl_sizes import sizes_in_options

from .sockets import Conditioning

# What text encoders give beside the context, under the host's names: by prompt in a batch, and of
# one prompt alone.
OF_BATCH = ("attention_mask", "conditioning_llama3", "conditioning_byt5small")
OF_PROMPT = ("t5xxl_ids", "t5xxl_weights")


def entries(conditioning: Conditioning) -> Iterator[dict[str, Tensor]]:
    """One per prompt, with the keys of `read_conditioning`. The tensors are the host's own."""
    for contexts, options in conditioning:
        pooled = options.get("pooled_output")
        for place, context in enumerate(contexts):
            entry = {"context": context}
            if pooled is not None:
                entry["pooled"] = pooled[place % len(pooled)]
            for name in OF_BATCH:
                if (found := options.get(name)) is not None:
                    entry[name] = found[place % len(found)]
            entry |= {name: options[name] for name in OF_PROMPT if options.get(name) is not None}
            if "height" in options and "width" in options:  # as CLIPTextEncodeSDXL says
                entry["sizes"] = torch.tensor(sizes_in_options(options, 0, 0))
            yield entry
