"""Makes compiled models heed patches: calls with patches get compiled code of their own.

ComfyUI's TorchCompileModel makes torch drop every guard on `transformer_options`, because most of
it differs from call to call without any effect. But patches are in there too. So torch would run
code that was compiled without a network for a model with one, or code for another strength.

Here calls with patches go through a second torch.compile of the same module. It keeps the guards
on patches, and its backend equals no other. torch chooses code by guards and backend, for every
frame, also after a graph break. So calls without patches never run code of calls with patches, and
another strength or network has its own code, which is compiled if needed. torch treats numbers
that have changed once as inputs, so from the third strength on nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch._dynamo import OptimizedModule

FILTER = "guard_filter_fn"  # one of torch.compile's options
# Guards whose names contain these are kept: patches of every kind, and what our patches also read
HEEDED = ("['patches", "['cond_or_uncond']")


class CompiledAgain:
    """Replaces compiled modules, in calls with patches, by ones that are compiled separately.

    Each is made only once, not at every call, because torch never forgets a backend.
    """

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()

    @contextmanager
    def within(self, model: nn.Module, asked: Mapping[str, Any]) -> Iterator[None]:
        """Inside, compiled parts of `model` heed patches.

        asked: the arguments of torch.compile that those parts were made with.
        """
        found = list(compiled_parts(model))
        try:
            for parent, name, part in found:
                setattr(parent, name, self._again(part, asked))
            yield
        finally:
            for parent, name, part in found:
                setattr(parent, name, part)

    def _again(self, part: OptimizedModule, asked: Mapping[str, Any]) -> nn.Module:
        if part not in self._made:
            self._made[part] = compile_apart(part._orig_mod, asked)
        return self._made[part]


def drops_guards(asked: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    """May torch have been told to drop guards?

    torch.compile removes the filter from `options`, but leaves the emptied options there. Without
    options, torch keeps all guards, and so heeds patches by itself.
    """
    return asked is not None and asked.get("options") is not None


def compiled_parts(model: nn.Module) -> Iterator[tuple[nn.Module, str, OptimizedModule]]:
    """Yields (parent, name, part) of the outermost parts that torch.compile has wrapped."""
    from torch._dynamo import OptimizedModule  # slow to import, but loaded if anything is compiled

    for name, part in model.named_children():
        if isinstance(part, OptimizedModule):
            yield model, name, part
        else:
            yield from compiled_parts(part)


def compile_apart(module: nn.Module, asked: Mapping[str, Any]) -> nn.Module:
    backend = Apart(
        backend=asked.get("backend", "inductor"),
        options={name: value for name, value in asked["options"].items() if name != FILTER},
    )
    compiled = torch.compile(
        module,
        backend=backend,
        fullgraph=asked.get("fullgraph", False),
        dynamic=asked.get("dynamic"),
        options={FILTER: heed_patches},
    )
    return cast(nn.Module, compiled)  # torch's types promise a function, whatever is compiled


def heed_patches(guards: Sequence[Any]) -> list[bool]:
    """Which guards to keep: those that ComfyUI keeps, and those on patches and their inputs."""
    return [
        "transformer_options" not in guard.name or any(part in guard.name for part in HEEDED)
        for guard in guards
    ]


@dataclass(frozen=True)
class Apart:
    """A backend that compiles as `backend` does, but only equals others of this class."""

    backend: str | Callable[..., Any]
    options: dict[str, Any]

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        if self.backend == "inductor":
            from torch._inductor.compile_fx import compile_fx

            found = compile_fx(graph, inputs, config_patches=self.options)
            return cast(Callable[..., Any], found)  # it would return weights only for an export
        from torch._dynamo import lookup_backend

        given = {"options": self.options} if self.options else {}
        return lookup_backend(self.backend)(graph, inputs, **given)
