"""Tags pictures with a model: the kinds of taggers, where their files are, and their answers.

A tagger is called with a few pictures and returns the tags of each. It is opened only if a picture
is not in its cache. Nothing is ever downloaded: the error about a missing model says which file
goes where.
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

VERSION = 1  # raise it when pictures are passed to models differently: it voids old answers

Tagger = Callable[[Sequence[Image.Image]], list[Tags]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of tagger. folders: where its models are, below models/; the first is ours."""

    folders: tuple[str, ...]
    needs: str  # the files that go into such a folder, for the error message
    find: Callable[[Path], dict[str, Path]]  # the models in a folder by name
    open: Callable[[Path, torch.device], Tagger]


def weight_files(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.glob("*.pt"))}


def onnx_files(folder: Path) -> dict[str, Path]:
    """Models by name. `name/model.onnx` and `name.onnx` are both called "name"."""
    found = {}
    for path in sorted([*folder.glob("*.onnx"), *folder.glob("*/*.onnx")]):
        plain = path.stem == "model" and path.parent != folder
        found.setdefault(path.parent.name if plain else path.stem, path)
    return found


def blip_folders(folder: Path) -> dict[str, Path]:
    """Folders of BLIP models, according to their config.json; `folder` itself may be one."""
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
    """Models of this kind by name. If two have the same name, the earlier folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            found = KINDS[kind].find(folder) | found
    return dict(sorted(found.items()))


def find_model(
    kind: str, name: str, folders: Sequence[Path], say: Callable[[str], object] | None = None
) -> Path:
    """The model that a name means. say: called with a sentence if the name was not exact.

    Raises FileNotFoundError saying which file goes where and what is there, and ValueError quoting
    the names if several match equally well.
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
    """The cache of exactly this model's answers, a file in the folder."""
    return TagCache(folder / f"{kind.lower().replace(' ', '_')}-{VERSION}-{model_key(model)}.tsv")


def tag_pictures(
    pictures: Sequence[Path], open_tagger: Callable[[], Tagger], cache: TagCache, batch: int = 4
) -> Iterator[tuple[Path, Tags | ValueError]]:
    """(picture, its tags) for every picture. New ones are tagged in batches and come a bit later.

    A picture that cannot be read comes with the reason instead of tags. Answers are cached before
    they are yielded, so if interrupted, nothing is lost.
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
            yield from ask_and_remember(tagger, waiting, cache)
            waiting = []


def ask_and_remember(
    tagger: Tagger, pictures: Sequence[tuple[Path, str, Image.Image]], cache: TagCache
) -> Iterator[tuple[Path, Tags]]:
    """Tag a batch of (path, key, picture) and cache the answers."""
    found = tagger([picture for _, _, picture in pictures])
    cache.add({key: tags for (_, key, _), tags in zip(pictures, found, strict=True)})
    for (path, _, _), tags in zip(pictures, found, strict=True):
        yield path, tags
