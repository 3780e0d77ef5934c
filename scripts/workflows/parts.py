"""Parts that several examples share."""

from __future__ import annotations

from typing import Any

from .drawing import BETWEEN, TITLE, Column, Link

BLUE, VIOLET, GREEN = "#3f789e", "#88A", "#8A8"
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
FOX = "a red fox in the snow"
LEAST_PICTURE = 280  # pixels of a node that shows pictures

Parts = tuple[Link, Link, Link]  # MODEL, CLIP, VAE
Words = tuple[Link, Link, Link]  # prompt, negative prompt, empty latent


def checkpoint(column: Column) -> int:
    return column.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)


def whole(loader: int) -> Parts:
    """The outputs of a loader that gives all three."""
    return (loader, 0), (loader, 1), (loader, 2)


def prompts(
    column: Column, clip: Link, text: str, pixels: int = 512, count: int = 1,
    empty: str = "EmptyLatentImage", elsewhere: Column | None = None,
) -> Words:  # fmt: skip
    """Add prompt, negative prompt and empty latent. elsewhere: the column for the last of them."""
    positive = column.add("CLIPTextEncode", "Prompt", text=text, clip=clip)
    negative = column.add("CLIPTextEncode", "Negative prompt", text="", clip=clip)
    latent = (elsewhere or column).add(empty, width=pixels, height=pixels, batch_size=count)
    return (positive, 0), (negative, 0), (latent, 0)


def sampled(column: Column, title: str, model: Link, words: Words, **sampling: Any) -> int:
    positive, negative, latent = words
    return column.add(
        "KSampler", title, model=model, positive=positive, negative=negative, latent_image=latent,
        **({"seed": 1} | sampling),
    )  # fmt: skip


def decoded(column: Column, sampler: int, vae: Link) -> int:
    return column.add("VAEDecode", collapsed=True, samples=(sampler, 0), vae=vae)


def picture(column: Column, title: str, prefix: str, image: Link, bottom: int = 0) -> int:
    """Add Save Image, which reaches down to `bottom` if that is far enough."""
    height = max(LEAST_PICTURE, bottom - column.top)
    return column.add("SaveImage", title, height, images=image, filename_prefix=prefix)


def two_pictures(
    columns: tuple[Column, Column], titles: tuple[str, str], models: tuple[Link, Link], vae: Link,
    words: Words, bottom: int = 0, **sampling: Any,
) -> list[int]:  # fmt: skip
    """Add two pictures of one prompt, side by side below the two columns. The samplers go into the
    second one. Returns all numbers."""
    samplers = [
        sampled(columns[1], title, model, words, **sampling)
        for title, model in zip(titles, models, strict=True)
    ]
    decodes = [decoded(min(columns, key=lambda each: each.top), each, vae) for each in samplers]
    numbers = [*samplers, *decodes]
    top = max(column.top for column in columns)
    for column, title, decode in zip(columns, titles, decodes, strict=True):
        column.top = top
        numbers.append(
            picture(column, f"{title}: pictures", f"hypernet/{title.lower()}", (decode, 0), bottom)
        )
    return numbers


def bottom_of(*filled: Column) -> int:
    """Where the longest column ends."""
    return max(column.top for column in filled) - BETWEEN - TITLE


def comparison(
    words: Column, shown: Column, model: int, networks: list[Link], strengths: str
) -> list[int]:
    """Add Compare Hypernets after its prompts. Returns their numbers."""
    positive = words.add("CLIPTextEncode", "Prompt", text=FOX, clip=(model, 1))
    negative = words.add("CLIPTextEncode", "Negative prompt", text="", clip=(model, 1))
    sockets = {f"hypernet_{place}": link for place, link in enumerate(networks, 1)}
    compared = shown.add(
        "HypernetCompare",
        model=(model, 0), vae=(model, 2), positive=(positive, 0), negative=(negative, 0),
        strengths=strengths, seed=1, **sockets,
    )  # fmt: skip
    return [positive, negative, compared]
