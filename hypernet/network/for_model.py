"""What network suits a model, by the widths of its streams.

A UNet has the streams attn1 and attn2, and widths tell its blocks apart. A transformer has those of
places.py, and all its blocks have one width: a network as wide inside as in a UNet would have as
many weights as a small model. So its MLPs are narrow in the middle, and compute as the model does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .places import PLACES
from .spec import HypernetSpec, listed

Streams = Mapping[str, tuple[int, ...]]  # the widths of each stream of a model

USUAL = (1, 2, 1)
BOTTLENECK, NARROW_BOTTLENECK = (1, 0.25, 1), (1, 0.125, 1)
# Streams whose blocks only prepare text and picture for the joint ones. Networks for them, too,
# show less of what was asked for at the same style (docs/models.md).
REFINERS = {"lumina2": ("text", "image"), "z_image": ("text", "image")}
VERY_WIDE = 6144  # from here on a quarter is 300 MiB for each place


def is_unet(streams: Streams) -> bool:
    return not set(streams) & {*PLACES}


def widths_of(streams: Streams) -> tuple[int, ...]:
    return tuple(sorted({width for widths in streams.values() for width in widths}))


def usual_structure(streams: Streams) -> tuple[float, ...]:
    """The layer structure that auto stands for."""
    if is_unet(streams):
        return USUAL
    return BOTTLENECK if max(widths_of(streams)) < VERY_WIDE else NARROW_BOTTLENECK


def fitted(
    spec: HypernetSpec,
    streams: Streams,
    *,
    every_width: bool,
    chosen: Sequence[str] = (),
    groups: int = 1,
    architecture: str = "",
) -> HypernetSpec:
    """The spec for this model.

    every_width: all of the model's, instead of the spec's. chosen: the streams that get a pair; all
    but the REFINERS of the architecture if empty. groups: parts of the depth, each with pairs of
    its own.

    Raises ValueError quoting widths and streams that the model does not have.
    """
    widths = widths_of(streams)
    if every_width:
        spec = replace(spec, widths=widths)
    if missing := sorted(set(spec.widths) - {*widths}):
        raise ValueError(
            f"Widths {listed(missing)} are not in this model, which has {listed(widths)}. "
            "Leave widths empty in Hypernet Config to train all of them, and continue from a "
            "network for this kind of model."
        )
    if is_unet(streams):
        if chosen or groups > 1:
            raise ValueError(
                "places and groups are for transformers, such as Flux. In this model widths tell "
                "the places apart: leave places empty, and groups 1."
            )
        return spec
    if missing := [stream for stream in chosen if stream not in streams]:
        raise ValueError(
            f'Places "{", ".join(missing)}" are not in this model, which has '
            f"{', '.join(streams)}. Leave places empty in Hypernet Config for the usual ones."
        )
    usual = [stream for stream in streams if stream not in REFINERS.get(architecture, ())]
    places = [
        (stream, width)
        for stream, found in streams.items()
        for width in found
        if width in spec.widths and stream in (chosen or usual)
    ]
    return replace(spec, places=tuple(places), groups=groups, arithmetic="bfloat16")


def read_places(text: str) -> tuple[str, ...]:
    """The streams in "image, joint"; none for an empty text. Raises ValueError quoting the text."""
    found = tuple(part for part in text.replace(",", " ").replace(";", " ").split())
    if strange := [part for part in found if part not in PLACES]:
        raise ValueError(
            f'Places "{text}": "{strange[0]}" is none. There are {", ".join(PLACES)}; empty means '
            "the usual ones."
        )
    return found
