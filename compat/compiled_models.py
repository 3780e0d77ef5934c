"""Compiled models: calls with patches get code of their own, made anew when a patch changes.

ComfyUI's TorchCompileModel makes torch drop every guard on `transformer_options`, because most of
it differs from call to call and changes nothing. Patches lie there too, so torch runs code that it
compiled without a network for a model with one, and code of one strength for another's.

Here calls with patches go through a second torch.compile of the same module. It keeps the guards
on patches, and its backend equals no other. torch chooses code by guards and backend, for every
frame, also where a graph breaks. So calls without patches never run code of calls with patches,
and another strength or network finds its own code, or torch compiles it. torch takes numbers that
have changed once as inputs, so the third strength and all later ones compile nothing.
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

FILTER = "guard_filter_fn"  # of torch.compile's options
# Parts of guards' names: where patches of every kind lie, and what ours read beside them
HEEDED = ("['patches", "['cond_or_uncond']")


class CompiledAgain:
    """What stands for compiled modules in calls with patches.

    It is made once for each, not once a call: torch never forgets a backend.
    """

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()

    @contextmanager
    def within(self, model: nn.Module, asked: Mapping[str, Any]) -> Iterator[None]:
        """Inside, compiled parts of `model` heed patches. asked: the arguments of torch.compile
        that those parts were made with."""
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
    """May torch have been told to drop guards? torch.compile takes the filter out of `options` and
    leaves them there, empty. Where no options were given, torch heeds patches by itself."""
    return asked is not None and asked.get("options") is not None


def compiled_parts(model: nn.Module) -> Iterator[tuple[nn.Module, str, OptimizedModule]]:
    """(parent, name, part) of the outermost parts that torch.compile has wrapped."""
    from torch._dynamo import OptimizedModule  # heavy; loaded already where something is compiled

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
    """Which guards to keep: those that ComfyUI keeps, and those on patches and what they read."""
    return [
        "transformer_options" not in guard.name or any(part in guard.name for part in HEEDED)
        for guard in guards
    ]


@dataclass(frozen=True)
class Apart:
    """A backend that compiles as `backend` does and equals only another of this class."""

    backend: str | Callable[..., Any]
    options: dict[str, Any]

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        if self.backend == "inductor":
            from torch._inductor.compile_fx import compile_fx

            found = compile_fx(graph, inputs, config_patches=self.options)
            return cast(Callable[..., Any], found)  # it gives weights only where it exports
        from torch._dynamo import lookup_backend

        given = {"options": self.options} if self.options else {}
        return lookup_backend(self.backend)(graph, inputs, **given)
