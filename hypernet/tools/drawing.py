"""The data for a drawing of a network: its layers, in the order that a token passes them."""

from __future__ import annotations

from ..disk_space import as_size
from ..network.spec import HypernetSpec, listed
from ..training.advice import spec_warnings


def outline(spec: HypernetSpec) -> dict:
    """The drawing as plain data.

    columns: for each entry of the structure its factor, its height as a share of the tallest, and
    what follows the linear layer that leads to it (nothing leads to the first).
    """
    tallest = max(spec.layer_structure)
    columns = [
        {
            "factor": f"{factor:g}",
            "share": factor / tallest,
            "activation": spec.activation if place and spec.is_activated(place - 1) else "",
            "layer_norm": bool(place) and spec.layer_norm,
            "dropout": spec.dropout_structure[place] if place else 0.0,
        }
        for place, factor in enumerate(spec.layer_structure)
    ]
    return {
        "columns": columns,
        "parameters": f"{spec.parameters:,}",
        "file": as_size(spec.file_bytes),
        "widths": listed(spec.widths),
        "warnings": spec_warnings(spec),
    }
