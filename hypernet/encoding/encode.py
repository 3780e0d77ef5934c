"""Encodes pictures, masks and prompts once, and keeps the results for the next run.

A picture is identified by its bytes and its cut, a prompt by its text, and an encoder by its output
for a fixed test input: other weights, a LoRA on the text encoder or another CLIP skip give another
output. If one picture changes, only that one is encoded again. If interrupted, everything encoded
so far is kept.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from ..dataset.content_keys import Contents
from ..dataset.items import Dataset, Item, cut_of, read_pixels
from ..dataset.masks import loss_weights
from ..seeding import generator
from .shards import Shards

TEST_PROMPT = "a (red:1.3) fox by the [sea], masterpiece, " + "one tree and another, " * 20
SIDE = 64  # pixels of the VAE's test input
VERSION = 1  # raise it when the encoded data changes: it voids older ones
AHEAD = 2  # pictures that are read while another is encoded
GIVE_BACK_EVERY = 16  # pictures

Watch = Callable[[int, int], object]
Encode = Callable[[Tensor], tuple[Tensor, Tensor]]  # (1, H, W, 3) -> mean, std (1, c, h, w)


def vae_key(encode: Encode) -> str:
    question = torch.rand(1, SIDE, SIDE, 3, generator=generator(0, "question", 0))
    return answer_key(encode(question))


def text_key(encode: Callable[[list[str]], Sequence[Mapping[str, Tensor]]]) -> str:
    (answer,) = encode([TEST_PROMPT])
    return answer_key(answer[name] for name in sorted(answer))


def answer_key(answer: Iterable[Tensor]) -> str:
    digest = hashlib.blake2b(str(VERSION).encode(), digest_size=16)
    for tensor in answer:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def key_of(*what: object) -> str:
    return hashlib.blake2b(repr(what).encode("utf-8", "replace"), digest_size=16).hexdigest()


class EncodedPictures(Sequence[dict[str, Tensor]]):
    """A sequence of what the shards hold under these keys."""

    def __init__(self, shards: Shards, keys: Sequence[str]):
        self.shards, self.keys = shards, keys

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return self.shards[self.keys[place]]

    def __len__(self) -> int:
        return len(self.keys)

    def shape(self, place: int, name: str) -> tuple[int, ...]:
        return self.shards.shape(self.keys[place], name)


class EncodedPrompts(Mapping[str, dict[str, Tensor]]):
    """A mapping from prompts to their encoded conditions in the shards."""

    def __init__(self, shards: Shards, keys: Mapping[str, str]):
        self.shards, self.places = shards, keys  # `keys` is a method of every Mapping

    def __getitem__(self, prompt: str) -> dict[str, Tensor]:
        return self.shards[self.places[prompt]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def encode_dataset(
    dataset: Dataset,
    encode: Encode,
    shards: Shards,
    contents: Contents,
    each: Watch = lambda done, total: None,
) -> tuple[Dataset, EncodedPictures]:
    """The dataset, and for each item the "mean" and "std" (c, h, w) of its latent.

    each(done, total) is called before every picture, first while files are identified, then while
    new ones are encoded. A picture with a sound header may still fail to decode. If the dataset
    skips unreadable pictures, the returned one lacks it and names it.

    Raises ValueError naming a picture that cannot be read or whose latent is NaN.
    """
    keys, faults = picture_keys(dataset, contents, each)
    faults |= encode_lacking(dataset, keys, encode, shards, each)
    if faults and not dataset.skip_unreadable:
        raise faults[min(faults)]
    return without(dataset, faults), EncodedPictures(
        shards, [k for n, k in keys.items() if n not in faults]
    )


def picture_keys(
    dataset: Dataset, contents: Contents, each: Watch
) -> tuple[dict[int, str], dict[int, ValueError]]:
    """By place of an item, the key of its latent, or why its file cannot be read."""
    keys: dict[int, str] = {}
    faults: dict[int, ValueError] = {}
    for place, item in enumerate(dataset.items):
        each(place, len(dataset.items))
        try:
            keys[place] = key_of(contents.key(item.path), cut_of(item, dataset))
        except OSError as fault:
            reason = fault.strerror or fault
            faults[place] = ValueError(f'"{item.path}" cannot be read: {reason}.')
    contents.keep()
    return keys, faults


def encode_lacking(
    dataset: Dataset, keys: Mapping[int, str], encode: Encode, shards: Shards, each: Watch
) -> dict[int, ValueError]:
    """Encode what the shards lack. By place of an item, why its picture cannot be decoded; the
    first such one ends it, unless the dataset is to skip them."""
    faults: dict[int, ValueError] = {}
    new: dict[str, int] = {}
    wanted = set(shards.missing(keys.values()))
    for place, key in keys.items():
        if key in wanted:
            new.setdefault(key, place)

    def read(place: int) -> Tensor:
        return read_pixels(dataset.items[place], dataset)

    try:
        for done, (key, reading) in enumerate(read_ahead(read, new)):
            each(done, len(new))
            if done % GIVE_BACK_EVERY == 0:
                return_memory()
            try:
                pixels = reading.result()
            except ValueError as fault:
                faults |= {place: fault for place, other in keys.items() if other == key}
                if not dataset.skip_unreadable:
                    break
                continue
            shards.add(key, latent_of(pixels, encode, dataset.items[new[key]]))
    finally:
        shards.write()
    return faults


def return_memory() -> None:
    """Return freed memory to the system.

    glibc keeps memory that one thread allocates and another frees, as happens with pixels here.
    After 300 pictures of 1024² the process held 110 to 630 MiB; with this it holds 103 to 120.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def latent_of(pixels: Tensor, encode: Encode, item: Item) -> dict[str, Tensor]:
    mean, std = encode(pixels)
    if not bool(torch.isfinite(mean).all()):
        raise ValueError(
            f'The VAE gives NaN for "{item.path}". Run the VAE in float32 or use another one.'
        )
    return {"mean": mean[0].float(), "std": std[0].half()}


def without(dataset: Dataset, faults: Mapping[int, ValueError]) -> Dataset:
    """The dataset without these items, which are listed as unreadable."""
    items = tuple(item for place, item in enumerate(dataset.items) if place not in faults)
    if not items:
        raise ValueError(f'None of the pictures in "{dataset.folder}" can be read.')
    named = {
        dataset.items[place].path.relative_to(dataset.folder).as_posix(): str(fault)
        for place, fault in sorted(faults.items())
    }
    return replace(dataset, items=items, unreadable=dataset.unreadable + tuple(named.items()))


def encode_masks(
    dataset: Dataset,
    latents: EncodedPictures,
    contents: Contents,
    each: Watch = lambda done, total: None,
) -> EncodedPictures | None:
    """For each item, {"weights": (1, h, w)} for the loss, with mean 1; None without loss masks.

    They are stored beside the latents of the dataset. Raises ValueError naming an unusable mask.
    """
    if dataset.loss_mask == "none":
        return None
    shards, keys = latents.shards, []
    for place, item in enumerate(dataset.items):
        source = item.mask if dataset.loss_mask == "mask file" else item.path
        known = contents.key(source) if source else ""
        rows, columns = latents.shape(place, "mean")[-2:]
        keys.append(key_of("mask", dataset.loss_mask, known, cut_of(item, dataset), rows, columns))
    contents.keep()
    wanted = set(shards.missing(keys))
    try:
        for place, key in enumerate(keys):
            each(place, len(keys))
            if key in wanted and key not in shards:
                rows, columns = latents.shape(place, "mean")[-2:]
                weights = loss_weights(dataset.items[place], dataset, rows, columns)
                shards.add(key, {"weights": weights})
    finally:
        shards.write()
    return EncodedPictures(shards, keys)


def encode_prompts(
    prompts: Sequence[str],
    encode: Callable[[list[str]], Sequence[Mapping[str, Tensor]]],
    shards: Shards,
    each: Watch = lambda done, total: None,
    lasting: Callable[[str], bool] = lambda prompt: True,
    group: int = 32,
) -> EncodedPrompts:
    """The encoded conditions of all prompts. Only some megabytes are in memory at a time.

    each(done, total) is called before every group of new prompts. lasting(prompt): may later runs
    use the stored result?
    """
    this_run = os.urandom(16).hex()
    keys = {text: key_of(text) if lasting(text) else key_of(this_run, text) for text in prompts}
    wanted = set(shards.missing(keys.values()))
    new = [text for text, key in keys.items() if key in wanted]
    try:
        for first in range(0, len(new), group):
            each(first, len(new))
            texts = new[first : first + group]
            for text, condition in zip(texts, encode(texts), strict=True):
                shards.add(keys[text], condition)
    finally:
        shards.write()
    return EncodedPrompts(shards, keys)


def read_ahead(
    read: Callable[[int], Tensor], places: Mapping[str, int]
) -> Iterator[tuple[str, Future[Tensor]]]:
    """(key, future of read(place)) for each; the next ones are read while the caller works."""
    waiting: deque[tuple[str, Future[Tensor]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for key, place in places.items():
                waiting.append((key, pool.submit(read, place)))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, reading in waiting:
                reading.cancel()
