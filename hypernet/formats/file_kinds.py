"""Recognises what a file is that could not be opened as a hypernetwork, for the error message.

It looks at the first bytes and at the names inside. Nothing is executed or unpacked: of a pickle
only the strings are read, of a safetensors file only the header.
"""

from __future__ import annotations

import json
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

from .pickle_check import MOST_DIRECTORY, directory_bytes

MOST_READ = 16 * 2**20  # bytes searched for names; those of SDXL take half a megabyte
MOST_NAMES = 50_000
LONGEST = 300  # letters of a name
PICKLES = 5  # a file from before torch 1.6 has this many in a row


@dataclass(frozen=True)
class Kind:
    """A kind of file. name: completes the sentence "it is …". advice: what to do with the file."""

    name: str
    advice: str


EMPTY = Kind("an empty file", "A download or a copy was cut off; get the file again.")
TEXT = Kind("a text", "Often a server has sent an error in place of the file; download it again.")
ARCHIVE = Kind("a packed archive", "Unpack it; the network is a file in it.")
SAFETENSORS = Kind(
    "a safetensors file under another name", 'Rename it so that it ends in ".safetensors".'
)
TORCH = Kind("a file of torch under another name", 'Rename it so that it ends in ".pt".')
PICTURE = Kind("a picture", "Load it with Load Image.")

BEGINNINGS: list[tuple[bytes, Kind]] = [
    (
        rb"\s*<(!doctype|html|head|body|\?xml|!--)",
        Kind("a web page (HTML)", "Download the file itself, not the page that tells of it."),
    ),
    (
        rb"version https://git-lfs",
        Kind(
            "a Git LFS pointer, which only stands for the file",
            'Run "git lfs pull" where it came from, or download the file itself.',
        ),
    ),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0\0\0\0|RIFF.{4}WEBP", PICTURE),
    (rb"Rar!|7z\xbc\xaf|\x1f\x8b|PK\x05\x06", ARCHIVE),
    (
        rb"GGUF",
        Kind("a GGUF model", "Put it into models/diffusion_models or models/text_encoders."),
    ),
]

# Kinds by the names of tensors and other contents; the first row that matches counts.
CONTENTS: list[tuple[str, Kind]] = [
    (
        r"(.*[._])?(lora_(up|down|[AB])|hada_w[12]_[ab]|lokr_w[12](_[ab])?|lora\.(up|down))"
        r"([._](weight|default.*))?",
        Kind("a LoRA", "Put it into models/loras and load it with a LoRA loader."),
    ),
    (
        r"(control_model|controlnet_|.*controlnet_cond_embedding|.*input_hint_block)\b.*",
        Kind(
            "a ControlNet", "Put it into models/controlnet and load it with Load ControlNet Model."
        ),
    ),
    (
        r"model\.diffusion_model\..*",
        Kind(
            "a whole checkpoint",
            "Put it into models/checkpoints and load it with Load Checkpoint.",
        ),
    ),
    (
        r"string_to_param|string_to_token|emb_params|clip_[lg]",
        Kind(
            "a textual inversion (embedding)",
            'Put it into models/embeddings and write "embedding:" and its name into a prompt.',
        ),
    ),
    (
        r"(first_stage_model\.)?(en|de)coder\.(conv_in|mid|up|down|mid_block)\..*",
        Kind("a VAE", "Put it into models/vae and load it with Load VAE."),
    ),
    (
        r"(.*\.)?(input_blocks|down_blocks|double_blocks|joint_blocks|transformer_blocks)\.0\..*",
        Kind(
            "a diffusion model without the rest of its checkpoint",
            "Put it into models/diffusion_models and load it with Load Diffusion Model.",
        ),
    ),
    (
        r"(.*\.)?(text_model\.)?(encoder\.layers\.0|encoder\.block\.0|transformer\.resblocks\.0)\..*",
        Kind("a text encoder", "Put it into models/text_encoders and load it with Load CLIP."),
    ),
    (
        r"(body\.0\.rdb1|model\.1\.sub\.0|conv_first|layers\.0\.residual_group)\b.*",
        Kind("an upscale model", "Put it into models/upscale_models."),
    ),
    (
        r"halvings",  # from a learner's health
        Kind(
            "the state of a training run",
            "Load one of the numbered files beside it, or let Train Hypernet resume the run.",
        ),
    ),
]


def kind_of(path: Path) -> Kind | None:
    """What the file is, if it is a known kind other than a network.

    Raises OSError if it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(4096)
    if not start:
        return EMPTY
    for pattern, kind in BEGINNINGS:
        if re.match(pattern, start, re.IGNORECASE | re.DOTALL):
            return kind
    safetensors, zipped = is_safetensors(start), pickle_in_zip(path)
    if zipped == b"":
        return ARCHIVE
    names = names_in_header(path) if safetensors else names_in_pickles(zipped or start_of(path))
    if kind := kind_of_names(names):
        return kind
    if safetensors and path.suffix.lower() != ".safetensors":
        return SAFETENSORS
    if (zipped or start[:1] == b"\x80") and path.suffix.lower() == ".safetensors":
        return TORCH
    return TEXT if is_text_file(start) else None


def kind_of_names(names: Iterable[str]) -> Kind | None:
    names = [name for name in islice(names, MOST_NAMES) if len(name) <= LONGEST]
    for pattern, kind in CONTENTS:
        fits = re.compile(pattern).fullmatch
        if any(fits(name) for name in names):
            return kind
    return None


def is_safetensors(start: bytes) -> bool:
    """Does it begin with the length of a header in eight bytes, followed by JSON?"""
    return len(start) > 9 and struct.unpack("<Q", start[:8])[0] < 2**40 and start[8:9] == b"{"


def is_text_file(start: bytes) -> bool:
    try:
        text = start.decode()
    except UnicodeDecodeError as fault:
        if fault.start < len(start) - 4:  # the last character may be cut off
            return False
        text = start[: fault.start].decode()
    return all(letter.isprintable() or letter.isspace() for letter in text)


def names_in_header(path: Path) -> list[str]:
    """The tensor names of a safetensors file; none if the header cannot be read."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        text = file.read(length) if length <= MOST_READ else b""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [name for name in header if name != "__metadata__"] if isinstance(header, dict) else []


def start_of(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(MOST_READ)


def names_in_pickles(content: bytes) -> Iterator[str]:
    """The strings in a pickle, or in the first few of a row; none if it is no pickle."""
    if content[:1] != b"\x80":
        return
    stream = BytesIO(content)
    try:
        for _ in range(PICKLES):
            for _, argument, _ in pickletools.genops(stream):
                if isinstance(argument, str):
                    yield argument
    except Exception:  # damage raises a dozen types; the names before it are enough
        return


def pickle_in_zip(path: Path) -> bytes | None:
    """The pickle in torch's zip; b"" if the zip has none; None if the file is no sound zip."""
    try:
        with open(path, "rb") as file:
            if directory_bytes(file, file.seek(0, 2)) > MOST_DIRECTORY:
                return None
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if name.endswith("data.pkl")]
                return archive.open(names[0]).read(MOST_READ) if names else b""
    except Exception:  # damage raises a dozen types
        return None
