"""`embedding:name` in a prompt: vectors from a file in models/embeddings take the place of words.

Files are A1111's textual inversions (.pt, "string_to_param"), ComfyUI's and diffusers'
.safetensors, and lists of either. Those for SDXL hold vectors for both of its text models; the
width of a vector tells which one it is for. As in ComfyUI, a name ends at a blank, "<" or "[". If
there is no such file, the name is tried again up to a comma or other punctuation mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from hypernet.formats.pickle_check import check_pt

from .. import folders

_MENTION = re.compile(r"(?<!\w)embedding:\s*([^\s<\[]*)")
_SIGNS = ",;:.!?|，、；：。！？"  # may follow a name without a blank


@dataclass(frozen=True)
class Mention:
    """An embedding that a prompt names, and its file, if it exists."""

    name: str
    path: Path | None
    differs: str = ""  # how the file's name differs


def mentions(text: str) -> Iterator[str | Mention]:
    """Split the text into words and the embeddings between them."""
    place = 0
    while found := _MENTION.search(text, place):
        yield text[place : found.start()]
        mention = _meant(found[1])
        yield mention
        place = found.start(1) + len(mention.name)
    yield text[place:]


def is_mention(text: str) -> bool:
    """Does the text end in "embedding:", so that a name and no weight follows?"""
    return bool(re.search(r"(?<!\w)embedding:$", text))


def _meant(name: str) -> Mention:
    """The longest part of the name, up to a punctuation mark, for which there is a file."""
    ends = [len(name), *(k for k in reversed(range(len(name))) if name[k] in _SIGNS)]
    for end in ends:
        if found := folders.find_embedding(name[:end]):
            return Mention(name[:end], *found)
    return Mention(re.split(f"[{re.escape(_SIGNS)}]", name, maxsplit=1)[0], None)


def read_embedding(path: Path) -> list[Tensor]:
    """Vectors (n, width), one tensor for each text model.

    Raises ValueError with the reason if there are none.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            with open(path, "rb") as file:
                check_pt(file)
                content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch raises half a dozen types for damaged or hostile files
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ValueError(
            f'"{path}" cannot be read as an embedding: {reason.rstrip(".")}.'
        ) from fault
    if isinstance(content, dict) and isinstance(content.get("string_to_param"), dict):
        content = content["string_to_param"]
    found = [each.detach().float() for each in _tensors(content)]
    vectors = [each.reshape(-1, each.shape[-1]) for each in found if each.ndim in (1, 2)]
    if not vectors:
        raise ValueError(f'"{path}" holds no vectors, so it is no embedding.')
    return vectors


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        if content.is_floating_point() and content.numel():
            yield content
    elif isinstance(content, (dict, list, tuple)):
        for each in content.values() if isinstance(content, dict) else content:
            yield from _tensors(each)
