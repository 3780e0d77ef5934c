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


def check(model: nn.Module, call: Callable[..., Any], inputs: dict, sites: Any) -> None:
    """Every site of a census changes keys or values, and those of its stream.

    Sites of one stream run one after the other. "image" and "text" share an attention and have
    each its own tokens in it; the other streams have all tokens of theirs. What goes into the first
    block of a stream comes from the picture, from the text, or from both, as SOURCES has it.
    """
    for site in sites:
        if site.place.depth == 0:
            found = sources(model.get_submodule(site.path), call, inputs)
            assert found == SOURCES[site.place.stream], (site, found)
    check_reach(model, lambda: call(**inputs), sites)


SOURCES = {
    "self": {"picture"},
    "cross": {"text"},
    "cross_image": set(),  # from a picture that is given beside the text
    "image": {"picture"},
    "text": {"text"},
    "joint": {"picture", "text"},
}
NAMES = {  # of inputs, in the calls of both hosts
    "picture": ("x", "sample", "hidden_states"),
    "text": (
        "c_crossattn",
        "cap_feats",
        "encoder_hidden_states",
        "encoder_hidden_states_t5",
        "encoder_hidden_states_llama3",
        "text_bth",
    ),
}


def sources(layer: nn.Module, call: Callable[..., Any], inputs: dict) -> set[str]:
    """Which of picture and text change what goes into the layer."""

    def other(value: Any) -> Any:
        if isinstance(value, list):
            return [other(each) for each in value]
        return value + torch.randn(value.shape, generator=torch.Generator().manual_seed(3))

    bare = input_of(layer, lambda: call(**inputs))
    found = set()
    for source, names in NAMES.items():
        present = [name for name in names if name in inputs]
        assert present, source
        changed = inputs | {name: other(inputs[name]) for name in present}
        if not torch.equal(bare, input_of(layer, lambda changed=changed: call(**changed))):
            found.add(source)
    return found


def input_of(layer: nn.Module, run: Callable[[], Any]) -> Tensor:
    kept: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _layer, args: kept.append(args[0].clone()))
    try:
        with torch.no_grad():
            run()
    finally:
        hook.remove()
    return kept[0]


def check_reach(model: nn.Module, run: Callable[[], Any], sites: Any) -> None:
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
