"""Describes a network file, as plain data and in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ..disk_space import as_size
from ..formats.hns import Network, NetworkTree
from ..formats.hns import formula as tree_as_text
from ..formats.networks import open_network
from ..network.hypernetwork import Hypernetwork
from ..network.places import Pair
from ..network.spec import listed as numbers


def describe(path: str | os.PathLike, network: Network | None = None) -> dict:
    """Plain data about a network file: its record, its structure and the size of its effect.

    network: the result of open_network(path), if the caller already has it. Raises what
    open_network raises.
    """
    path = Path(path)
    network = open_network(path) if network is None else network
    about = {"file": str(path), "bytes": path.stat().st_size, "name": network.record.name}
    if isinstance(network, NetworkTree):
        return (
            about
            | {
                "tree": tree_as_text(network.part),
                "networks": list(network.names),
                "widths": list(network.spec.widths),
                "optional_info": network.record.optional_info,
            }
            | in_transformers(network)
        )
    spec, record = network.spec, network.record
    found = {
        "step": record.step,
        "widths": list(spec.widths),
        "layer_structure": list(spec.layer_structure),
        "activation": spec.activation,
        "activate_output": spec.activate_output,
        "layer_norm": spec.layer_norm,
        "dropout_structure": list(spec.dropout_structure),
        "skip_connection": spec.skip_connection,
        "upsample_linear": spec.upsample_linear,
        "weight_initialization": spec.weight_initialization,
        "parameters": spec.parameters,
        "sd_checkpoint": record.sd_checkpoint,
        "sd_checkpoint_name": record.sd_checkpoint_name,
        "optional_info": record.optional_info,
        "residual": {pair.name: residual_size(network, pair) for pair in spec.pairs},
    }
    if not spec.bias:
        found["bias"] = False
    return about | found | in_transformers(network)


def in_transformers(network: Network) -> dict:
    """What networks for UNets don't have: the model's kind, places, groups of blocks."""
    spec = network.spec
    if not spec.places:
        return {}
    places: dict[str, list[int]] = {}
    for stream, width in spec.places:
        places.setdefault(stream, []).append(width)
    found: dict[str, Any] = {"architecture": network.record.architecture, "places": places}
    if isinstance(network, Hypernetwork):
        found |= {"groups": network.spec.groups, "arithmetic": network.spec.arithmetic}
    return found


@torch.no_grad()
def residual_size(network: Hypernetwork, pair: Pair | int) -> dict[str, float]:
    """‖f(x)‖ / ‖x‖ for keys and values with standard normal x (1, T, C): how much it changes.

    pair: a number is a width of a network for UNets.
    """
    width = pair.width if isinstance(pair, Pair) else pair
    x = torch.randn(1, 256, width, generator=torch.Generator().manual_seed(0))
    sides = {side: network.mlp(pair, side) for side in ("k", "v")}
    return {side: round(float(mlp(x).norm() / x.norm()), 5) for side, mlp in sides.items()}


def as_lines(description: dict) -> list[tuple[str, str]]:
    if "tree" in description:
        return [
            ("name", description["name"]),
            ("tree", description["tree"]),
            ("networks", ", ".join(description["networks"])),
            where(description),
            ("note", description["optional_info"] or "none"),
        ]
    residual = "; ".join(
        f"{width}: k {size['k']:.4f}, v {size['v']:.4f}"
        for width, size in description["residual"].items()
    )
    dropout = description["dropout_structure"]
    activation = description["activation"]
    if description["activate_output"] and activation != "linear":
        activation = f"{activation}, on the output too"
    structure = numbers(description["layer_structure"])
    if description["skip_connection"]:
        through = " through a matrix" if description["upsample_linear"] else ""
        structure = f"{structure}, in blocks with skip connections{through}"
    if not description.get("bias", True):
        structure = f"{structure}, without biases"
    lines = [
        ("name", description["name"]),
        ("steps", str(description["step"])),
        ("structure", structure),
        ("activation", activation),
        ("layer norm", "yes" if description["layer_norm"] else "no"),
        ("dropout", numbers(dropout) if any(dropout) else "no"),
        where(description),
        ("parameters", f"{description['parameters']:,}"),
        ("size", as_size(description["bytes"])),
        ("trained on", description["sd_checkpoint_name"] or "not recorded"),
        ("note", description["optional_info"] or "none"),
        ("residual", residual),
    ]
    if "places" in description:
        lines.insert(-2, ("model", description["architecture"] or "not recorded"))
        lines.insert(-2, ("computes in", description["arithmetic"]))
    return lines


def where(description: dict) -> tuple[str, str]:
    if "places" not in description:
        return "widths", numbers(description["widths"])
    places = (f"{stream} {numbers(found)}" for stream, found in description["places"].items())
    groups = description.get("groups", 1)
    return "places", ", ".join(places) + (f", in {groups} groups of blocks" if groups > 1 else "")


def report_text(description: dict) -> str:
    """The description as aligned lines under the file's name."""
    lines = (f"  {label:<11} {text}" for label, text in as_lines(description))
    return "\n".join([description["file"], *lines])
