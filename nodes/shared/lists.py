"""Inputs of nodes that take lists (`is_input_list`): every value comes as a list, mostly of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Given = Sequence[Any] | Mapping[str, Any] | None  # a dynamic input is a dict of lists


def only(values: Given) -> Any:
    """The single value of an input, or None. The host has checked its type."""
    if isinstance(values, Mapping):
        return {name: only(each) for name, each in values.items()}
    return values[0] if values else None


def one_of_each(inputs: Mapping[str, Given]) -> dict[str, Any]:
    """The inputs' single values. Raises ValueError if an input has several."""
    several = [
        f"{name} ({len(each)})"
        for name, each in inputs.items()
        if not isinstance(each, Mapping) and each is not None and len(each) != 1
    ]
    if several:
        raise ValueError(
            f"There are several of {', '.join(several)}, and one of each is needed. Only texts may "
            "be a list."
        )
    return {name: only(each) for name, each in inputs.items()}
