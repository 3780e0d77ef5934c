"""What a change at one layer reaches: the independent check that a census is right.

Attention is watched where it happens, in torch's scaled_dot_product_attention, whatever the model
calls its layers. Written without hypernet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Calls = list[tuple[Tensor, Tensor, Tensor]]


class Reach(NamedTuple):
    """The first attention that a change reaches."""

    call: int  # its number in the run
    changed: str  # which of "qkv"
    tokens: frozenset[int]  # which tokens of them
    of: int  # so many tokens


class Watch(TorchFunctionMode):
    """Keeps queries, keys and values, each (B, heads, T, width), of every attention."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Calls = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention:
            names = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
            self.calls.append(tuple(names[name].clone() for name in ("query", "key", "value")))
        return func(*args, **kwargs)


def attention_of(run: Callable[[], Any]) -> Calls:
    with torch.no_grad(), Watch() as watch:
        run()
    return watch.calls


def reach(run: Callable[[], Any], bare: Calls, layer: nn.Module, rows: slice | None) -> Reach:
    """What changes if the layer gets another input; with rows: if these of its output change."""

    def other(tensor: Tensor, part: slice) -> Tensor:
        tensor = tensor.clone()
        noise = torch.randn(tensor[..., part].shape, generator=torch.Generator().manual_seed(2))
        tensor[..., part] += noise
        return tensor

    def change_input(_layer: nn.Module, args: tuple) -> tuple:
        return (other(args[0], slice(None)), *args[1:])

    def change_output(_layer: nn.Module, args: tuple, output: Tensor) -> Tensor:
        return other(output, rows or slice(None))

    hook = (
        layer.register_forward_pre_hook(change_input)
        if rows is None
        else layer.register_forward_hook(change_output)
    )
    try:
        found = attention_of(run)
    finally:
        hook.remove()
    return first_difference(bare, found)


def check(model: nn.Module, run: Callable[[], Any], sites: Any) -> None:
    """Every site of a census changes keys or values, and those of its stream.

    Sites of one stream run one after the other. "image" and "text" share an attention and have
    each its own tokens in it; the other streams have all tokens of theirs.
    """
    bare = attention_of(run)
    found: dict[tuple[str, int, str], Reach] = {}
    for site in sites:
        layer = model.get_submodule(site.path)
        sides = {site.side: None} if not site.rows else cut(site.rows)
        for side, rows in sides.items():
            got = reach(run, bare, layer, rows)
            found[site.place.stream, site.place.depth, side] = got
            assert got.changed == side, (site, side, got.changed)
    for (stream, depth, side), got in found.items():
        before = found.get((stream, depth - 1, side))
        assert before is None or before.call < got.call, (stream, depth)
        if stream not in ("image", "text"):
            assert len(got.tokens) == got.of, (stream, depth)
        other = found.get(({"image": "text", "text": "image"}.get(stream, ""), depth, side))
        if other and other.call == got.call:
            assert not got.tokens & other.tokens and len(got.tokens | other.tokens) == got.of


def cut(rows: tuple[int, ...]) -> dict[str, slice]:
    """Where keys and values lie in the output of a fused layer."""
    q, k, v, _rest = rows
    return {"q": slice(0, q), "k": slice(q, q + k), "v": slice(q + k, q + k + v)}


def first_difference(bare: Calls, found: Calls) -> Reach:
    assert len(bare) == len(found)
    for number, (before, after) in enumerate(zip(bare, found, strict=True)):
        changed = [name for name, a, b in zip("qkv", before, after, strict=True) if a.ne(b).any()]
        if changed:
            side = "qkv".index(changed[0])
            a, b = before[side], after[side]
            tokens = a.ne(b).any(dim=(0, 1, 3)).nonzero().flatten().tolist()
            return Reach(number, "".join(changed), frozenset(tokens), a.shape[-2])
    raise AssertionError("nothing changed")
