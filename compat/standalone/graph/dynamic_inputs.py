"""The inputs that a chosen option adds, and how their values become one dict.

The workflow holds "opt" and "opt.lr" side by side; execute gets opt={"opt": …, "lr": …}.
"""

from __future__ import annotations

from typing import Any

from .socket_types import DynamicCombo, Input


def live_inputs(inputs: list[Input], values: dict[str, Any], prefix: str = "") -> dict[str, Input]:
    """Inputs by full id ("opt.lr"), including those of the chosen options."""
    live = {}
    for each in inputs:
        live[prefix + each.id] = each
        if isinstance(each, DynamicCombo.Input):
            if option := each.chosen(values.get(prefix + each.id)):
                live |= live_inputs(option.inputs, values, f"{prefix}{each.id}.")
    return live


def nested_paths(live: dict[str, Input], values: dict[str, Any]) -> dict[str, str]:
    """Where dynamic values go when nested: {"opt": "opt.opt", "opt.lr": "opt.lr"}."""
    paths = {name: name for name in live if "." in name}
    for name, each in live.items():
        if isinstance(each, DynamicCombo.Input) and each.chosen(values.get(name)):
            paths[name] = f"{name}.{each.id}"
    return paths


def nest(values: dict[str, Any], paths: dict[str, str]) -> dict[str, Any]:
    """The values with "opt" and "opt.lr" combined into one dict; missing nested ones are None."""
    nested = {name: value for name, value in values.items() if name not in paths}
    for name, path in paths.items():
        *parents, last = path.split(".")
        place = nested
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = values.get(name)
    return nested
