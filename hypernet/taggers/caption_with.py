"""Models that say what pictures show: which kinds there are, where theirs lie, and what they say.

A tagger is called with a few pictures and gives the tags of each. It is opened only if there is a
picture that it has not seen yet. Nothing is ever downloaded: a missing model is an error that says
which file goes where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from ..dataset.content_keys import content_key
from ..pictures.reading import open_picture
from ..text.names import find_name
from .answers import TagCache, Tags, model_key
from .blip import BlipCaptioner
from .deepdanbooru import FILE, DeepDanbooruTagger
from .wd_tagger import WdTagger

VERSION = 1  # of how pictures are shown to models; a change makes old answers void

Tagger = Callable[[Sequence[Image.Image]], list[Tags]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of tagger. folders: where its models lie, below models/; the first is ours."""

    folders: tuple[str, ...]
    needs: str  # which file goes into such a folder
    find: Callable[[Path], dict[str, Path]]  # the models in a folder by name
    open: Callable[[Path, torch.device], Tagger]


def weight_files(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.glob("*.pt"))}


def onnx_files(folder: Path) -> dict[str, Path]:
    """`name/model.onnx` is "name", `name.onnx` too."""
    found = {}
    for path in sorted([*folder.glob("*.onnx"), *folder.glob("*/*.onnx")]):
        plain = path.stem == "model" and path.parent != folder
        found.setdefault(path.parent.name if plain else path.stem, path)
    return found


def blip_folders(folder: Path) -> dict[str, Path]:
    """Folders whose config.json says that it is one; also the folder itself."""
    found = {}
    for config in sorted([*folder.glob("config.json"), *folder.glob("*/config.json")]):
        try:
            kind = json.loads(config.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(kind, dict) and kind.get("model_type") == "blip":
            found[config.parent.name] = config.parent
    return found


KINDS = {
    "DeepDanbooru": Kind(
        folders=("deepdanbooru", "torch_deepdanbooru"),
        needs=f"{FILE} (TorchDeepDanbooru's, which A1111 keeps in models/torch_deepdanbooru)",
        find=weight_files,
        open=DeepDanbooruTagger,
    ),
    "WD tagger": Kind(
        folders=("wd14_tagger", "wd_tagger"),
        needs="a folder with model.onnx and selected_tags.csv (SmilingWolf's wd taggers)",
        find=onnx_files,
        open=WdTagger,
    ),
    "BLIP": Kind(
        folders=("blip",),
        needs="the folder of a BLIP captioning model in transformers' form, such as "
        "blip-image-captioning-base with config.json, model.safetensors and its tokenizer",
        find=blip_folders,
        open=BlipCaptioner,
    ),
}


def find_models(kind: str, folders: Sequence[Path]) -> dict[str, Path]:
    """Models of this kind by name; of two with the same name, that of the earlier folder."""
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            found = KINDS[kind].find(folder) | found
    return dict(sorted(found.items()))


def find_model(
    kind: str, name: str, folders: Sequence[Path], say: Callable[[str], object] | None = None
) -> Path:
    """say: is told when the name was not exact.

    Raises FileNotFoundError that says which file goes where, and what is there; ValueError quoting
    names that fit equally.
    """
    found = find_models(kind, folders)
    if match := find_name(name, found):
        if match.note and say:
            say(match.note)
        return found[match.name]
    there = f" There is: {', '.join(found)}." if found else ""
    raise FileNotFoundError(
        f'There is no {kind} model "{name}". Put {KINDS[kind].needs} into "{folders[0]}".{there}'
    )


def cache_of(kind: str, model: Path, folder: Path) -> TagCache:
    """The answers of this very model, in a file of the folder."""
    return TagCache(folder / f"{kind.lower().replace(' ', '_')}-{VERSION}-{model_key(model)}.tsv")


def tag_pictures(
    pictures: Sequence[Path], open_tagger: Callable[[], Tagger], cache: TagCache, batch: int = 4
) -> Iterator[tuple[Path, Tags | ValueError]]:
    """(picture, its tags) of each, new ones in batches, so nearly in order.

    A picture that cannot be read comes with the reason instead. Answers are in the cache before
    they are given, so whoever stops half way loses nothing.
    """
    tagger: Tagger | None = None
    waiting: list[tuple[Path, str, Image.Image]] = []
    for place, path in enumerate(pictures, 1):
        try:
            key = content_key(path)
            known = cache.get(key)
            if known is None:
                waiting.append((path, key, open_picture(path)))
            else:
                yield path, known
        except OSError as fault:
            yield path, ValueError(f'"{path}" cannot be read: {fault.strerror or fault}.')
        except ValueError as fault:
            yield path, fault
        if waiting and (len(waiting) == batch or place == len(pictures)):
            tagger = tagger or open_tagger()
            yield from look(tagger, waiting, cache)
            waiting = []


def look(
    tagger: Tagger, pictures: Sequence[tuple[Path, str, Image.Image]], cache: TagCache
) -> Iterator[tuple[Path, Tags]]:
    """Ask the tagger about (path, key, picture) of each, and remember."""
    found = tagger([picture for _, _, picture in pictures])
    cache.add({key: tags for (_, key, _), tags in zip(pictures, found, strict=True)})
    for (path, _, _), tags in zip(pictures, found, strict=True):
        yield path, tags
