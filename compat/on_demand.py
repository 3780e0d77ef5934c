"""Imports the names of a package only when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def on_demand(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A __getattr__ for a package. names: the names in each module, by module: ".model.models"."""
    homes = {name: module for module, found in names.items() for name in found}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f'module "{package}" has no "{name}"')
        return getattr(import_module(homes[name], package), name)

    return find
