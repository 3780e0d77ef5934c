"""Parts that several examples share."""

from __future__ import annotations

from typing import Any

from .drawing import Drawing, Link

BLUE, VIOLET, GREEN = "#3f789e", "#88A", "#8A8"
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"

Parts = tuple[Link, Link, Link]  # MODEL, CLIP, VAE


def checkpoint(d: Drawing, at: tuple[int, int]) -> int:
    return d.add("CheckpointLoaderSimple", at, ckpt_name=CHECKPOINT)


def whole(loader: int) -> Parts:
    """The outputs of a loader that gives all three."""
    return (loader, 0), (loader, 1), (loader, 2)


def prompts(
    d: Drawing, at: tuple[int, int], clip: Link, text: str, pixels: int = 512, count: int = 1,
    empty: str = "EmptyLatentImage",
) -> tuple[Link, Link, Link]:  # fmt: skip
    """Add prompt, negative prompt and empty latent, one below the other."""
    x, y = at
    positive = d.add("CLIPTextEncode", at, title="Prompt", text=text, clip=clip)
    y = d.below(positive)
    negative = d.add("CLIPTextEncode", (x, y), title="Negative prompt", text="", clip=clip)
    latent = d.add(empty, (x, d.below(negative)), width=pixels, height=pixels, batch_size=count)
    return (positive, 0), (negative, 0), (latent, 0)


def picture(
    d: Drawing, at: tuple[int, int], title: str, prefix: str, model: Link, vae: Link,
    words: tuple[Link, Link, Link], **sampling: Any,
) -> list[int]:  # fmt: skip
    """Add KSampler, VAE Decode and Save Image. Returns their numbers."""
    x, y = at
    positive, negative, latent = words
    sampler = d.add(
        "KSampler", (x, y), title=title, size=(300, 0), model=model, positive=positive,
        negative=negative, latent_image=latent, **({"seed": 1} | sampling),
    )  # fmt: skip
    beside = d.right_of(sampler, 40)
    decode = d.add("VAEDecode", (beside, y), size=(340, 0), samples=(sampler, 0), vae=vae)
    saved = d.add(
        "SaveImage", (beside, d.below(decode)), title=f"{title}: pictures" if title else "",
        images=(decode, 0), filename_prefix=prefix, size=(340, 320),
    )  # fmt: skip
    return [sampler, decode, saved]


def before_and_after(
    d: Drawing, x: int, parts: Parts, trained: Link, text: str, **settings: Any
) -> None:
    """Add two pictures of one prompt, without and with the network."""
    model, clip, vae = parts
    size = {key: settings.pop(key) for key in ("pixels", "count", "empty") if key in settings}
    words = prompts(d, (x, 0), clip, text, **size)
    y = d.below(words[2][0])
    applied = d.add("HypernetApply", (x, y), model=model, hypernet=trained)
    beside = d.right_of(applied)
    before = picture(d, (beside, 0), "Before", "hypernet/before", model, vae, words, **settings)
    after = picture(
        d, (beside, d.below(before[-1], 60)), "After", "hypernet/after", (applied, 0), vae, words,
        **settings,
    )  # fmt: skip
    numbers = [*(source for source, _ in words), applied, *before, *after]
    d.group("3. What it learnt", numbers, GREEN)


def comparison(
    d: Drawing, x: int, y: int, model: int, networks: list[Link], strengths: str, others: list[int]
) -> None:
    """Add Compare Hypernets with its prompts and its grid, in a group with `others`."""
    positive = d.add(
        "CLIPTextEncode", (x, y), title="Prompt", text="a red fox in the snow", clip=(model, 1)
    )
    negative = d.add(
        "CLIPTextEncode", (x, d.below(positive)), title="Negative prompt", text="", clip=(model, 1)
    )
    sockets = {f"hypernet_{place}": link for place, link in enumerate(networks, 1)}
    compared = d.add(
        "HypernetCompare", (x + 380, 0),
        model=(model, 0), vae=(model, 2), positive=(positive, 0), negative=(negative, 0),
        strengths=strengths, seed=1, **sockets,
    )  # fmt: skip
    saved = d.add(
        "SaveImage", (x + 760, 0), size=(560, 560),
        images=(compared, 0), filename_prefix="hypernet/compared",
    )  # fmt: skip
    d.group("3. Side by side", [*others, positive, negative, compared, saved], GREEN)
