"""Layout 2: networks for transformers, whose pairs are known by place and width.

    names       <stream>.<width>[.<group>], such as joint.3072; each with a state dict of keys and
                one of values, as in A1111's format
    settings    A1111's, and "layout": 2, "architecture", "places", "groups", "arithmetic"

There is no `.pt` of them: A1111 and ComfyUI would apply any integer width to any model of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ..network.hypernetwork import Hypernetwork
from ..network.places import PLACES, Pair
from ..network.spec import MOST_GROUPS, HypernetSpec
from .a1111 import (
    check_settings,
    fill,
    read_layers,
    read_record,
    read_spec,
    split,
    to_settings,
    to_states,
)

LAYOUT = 2
NAME = re.compile(rf"({'|'.join(PLACES)})\.([0-9]{{1,9}})(?:\.([0-9]{{1,4}}))?")
OWN = ("layout", "architecture", "places", "groups", "arithmetic")


def is_placed(payload: Mapping[Any, Any]) -> bool:
    return "layout" in payload or any(isinstance(k, str) and NAME.fullmatch(k) for k in payload)


def to_placed(network: Hypernetwork, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """The content of the file. Raises ValueError as a1111.to_payload does."""
    spec = network.spec
    places: dict[str, list[int]] = {}
    for stream, width in spec.places:
        places.setdefault(stream, []).append(width)
    return {
        **{pair.name: sides for pair, sides in to_states(network, dtype).items()},
        **to_settings(network),
        "layout": LAYOUT,
        "architecture": network.record.architecture,
        "places": places,
        "groups": spec.groups,
        "arithmetic": spec.arithmetic,
    }


def from_placed(payload: Mapping[str, Any], file_name: str) -> Hypernetwork:
    """The network that the content describes. Raises ValueError naming the file and the reason."""
    check_layout(payload, file_name)
    check_settings(payload, file_name)
    pairs = {}
    for name in filter(NAME.fullmatch, payload):
        pair = read_pair(name)
        where = f'"{file_name}", {name}'
        sides = split(payload[name], pair.width, file_name)
        pairs[pair] = [read_layers(side, pair.width, where) for side in sides]
    spec = read_placed_spec(payload, pairs, file_name)
    if missing := {*spec.pairs} ^ {*pairs}:
        names = ", ".join(sorted(pair.name for pair in missing))
        raise ValueError(f'"{file_name}": its record and its tensors differ in {names}.')
    record = read_record({k: v for k, v in payload.items() if k not in OWN}, file_name)
    record.architecture = payload["architecture"]
    network = Hypernetwork(spec, record, blank=True)
    for pair, sides in pairs.items():
        for side, layers in zip(("k", "v"), sides, strict=True):
            fill(network.mlp(pair, side), layers, f'"{file_name}", {pair.name}, {side}')
    return network


def check_layout(payload: Mapping[str, Any], file_name: str) -> None:
    if payload.get("layout") != LAYOUT:
        raise ValueError(
            f'"{file_name}" has layout {str(payload.get("layout"))[:20]}; this version of Hypernet '
            f"reads up to {LAYOUT}. Update Hypernet."
        )
    groups = payload.get("groups", 1)
    if type(groups) is not int or not 1 <= groups <= MOST_GROUPS:
        raise ValueError(f'"{file_name}": "groups" should be 1 to {MOST_GROUPS}.')
    for key in ("architecture", "arithmetic"):
        if not isinstance(payload.get(key), str):
            raise ValueError(f'"{file_name}": "{key}" should be text.')


def read_pair(name: str) -> Pair:
    """The pair with this name, which NAME matches."""
    stream, width, *group = name.split(".")
    return Pair(int(width), stream, int(group[0]) if group else None)


def read_placed_spec(
    payload: Mapping[str, Any], pairs: dict[Pair, list], name: str
) -> HypernetSpec:
    """The structure is read from all layers of a width, as a1111.read_spec does."""
    if not pairs:
        raise ValueError(f'"{name}" is not a hypernetwork: it holds no pair of a place.')
    by_width: dict[int, list] = {}
    for pair, sides in pairs.items():
        by_width.setdefault(pair.width, []).extend(sides)
    spec = read_spec(payload, by_width, name)
    try:
        return replace(
            spec,
            places=tuple((pair.stream, pair.width) for pair in pairs),
            groups=payload.get("groups", 1),
            arithmetic=payload["arithmetic"],
        )
    except ValueError as fault:
        raise ValueError(f'"{name}": {fault}') from None
