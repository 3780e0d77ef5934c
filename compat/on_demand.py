"""Names of a package that are imported when somebody asks for them, not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def on_demand(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A package's __getattr__. names: by the module that has them, ".model.models"."""
    homes = {name: module for module, found in names.items() for name in found}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f'module "{package}" has no "{name}"')
        return getattr(import_module(homes[name], package), name)

    return find
