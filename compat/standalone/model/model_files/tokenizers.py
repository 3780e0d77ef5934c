"""Finds the tokenizer of a text model that is in a file of its own, which holds no tokenizer.

Looked at are, for models/text_encoders/NAME.safetensors, the folders NAME, NAME/tokenizer, the name
that ComfyUI gives to such a tokenizer, and ComfyUI itself where the models lie in its folder. A
folder with the tokenizer of another model is passed over: its files lack this one's mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VOCABULARIES = ("tokenizer.json", "vocab.json")  # one of them makes a folder a tokenizer's


@dataclass(frozen=True)
class Kind:
    """folder: its name in ComfyUI. mark: in its files alone. source: a repository with it."""

    name: str
    folder: str
    mark: str
    source: str


QWEN = Kind("Qwen2Tokenizer", "qwen25_tokenizer", "<|im_start|>", "Qwen/Qwen3-4B")
T5 = Kind("T5Tokenizer", "t5_tokenizer", "Unigram", "google-t5/t5-base")
GEMMA = Kind("GemmaTokenizer", "gemma_tokenizer", "<bos>", "google/gemma-2-2b")

# As Qwen3's own template for one message, with and without room for thoughts
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)


def find_tokenizer(kind: Kind, file: Path) -> Any:
    """The tokenizer for the text model in the file.

    Raises FileNotFoundError that says what to put where.
    """
    import transformers

    for folder in places(kind, file):
        if is_of(kind, folder):
            made = getattr(transformers, kind.name).from_pretrained(folder, local_files_only=True)
            made.padding_side = "right"
            if kind is QWEN:
                made.chat_template = CHAT
            return made
    raise FileNotFoundError(
        f'the tokenizer of "{file}" is missing: put tokenizer.json and tokenizer_config.json of '
        f'{kind.source} into "{file.parent / kind.folder}".'
    )


def is_of(kind: Kind, folder: Path) -> bool:
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return False
    files = (folder / name for name in (*VOCABULARIES, "tokenizer_config.json"))
    return any(f'"{kind.mark}"' in file.read_text("utf-8") for file in files if file.is_file())


def places(kind: Kind, file: Path) -> Iterator[Path]:
    own = file.with_suffix("")
    yield from (own, own / "tokenizer", file.parent / kind.folder)
    for above in file.absolute().parents:
        yield above / "comfy" / "text_encoders" / kind.folder
