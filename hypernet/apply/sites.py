"""Changes the inputs of keys and values at the linear layers that make them, on any architecture.

    k = W_k · change(x)      v = W_v · change(x)      all other rows read x as before

For the length of a block, every layer gets a `forward` of its own, as an instance attribute; then
it gets back what it had. Unlike hooks of torch, torch.compile heeds it, also when it comes after
compiling; unlike a replaced layer, weights keep their names, so LoRAs still find them.

A layer that makes keys or values alone is called with the changed input, whatever its class. One
that makes several at once is cut into blocks of rows, each with its own input, so that nothing is
computed twice. That needs plain weights. Quantized layers, and those whose `forward` somebody else
has set (a bypass adapter), are called whole for x, keys and values, and their rows are picked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import reduce
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from .int8 import Packed, bias_of, forward_of, weight_of
from .row_blocks import by_picked_rows, by_row_blocks

if TYPE_CHECKING:
    from ..families import Site

Forward = Callable[..., Tensor]
# (site, "k" or "v", x) → the changed x, or x itself where nothing changes; x: (…, C)
Change = Callable[["Site", str, Tensor], Tensor]
# (layer, x) → its weight (rows, C) and bias as F.linear takes them with x, for the length of a
# block; None where the layer computes something else
Weights = AbstractContextManager[tuple[Tensor | Packed, Tensor | None]]
Read = Callable[[nn.Module, Tensor], Weights | None]
PARTS = "hypernet_parts"  # a forward of ours knows by it what it was made of


def read_plain(layer: nn.Module, x: Tensor) -> Weights | None:
    """Weight and bias of torch's own Linear, whose weight is an ordinary tensor."""
    if type(layer) is not nn.Linear or type(layer.weight) is not nn.Parameter:
        return None
    return nullcontext((layer.weight, layer.bias))


def packed_forward(layer: nn.Linear | nn.Conv2d) -> Forward:
    """The forward of a layer with a packed weight, which sites cut into rows as they do others."""

    def unchanged(site: Site, side: str, x: Tensor) -> Tensor:
        return x

    def read(layer: nn.Module, x: Tensor) -> Weights:
        return nullcontext((weight_of(layer), bias_of(layer, x)))

    own = forward_of(layer)

    def forward(input: Tensor) -> Tensor:
        return own(input)

    vars(forward)[PARTS] = own, unchanged, read  # not itself, or it would outlive its model
    return forward


@contextmanager
def installed(
    model: nn.Module, sites: Sequence[Site], change: Change, read: Read = read_plain
) -> Iterator[None]:
    """Inside the block, the model's keys and values are made of changed inputs at these sites.

    Of blocks inside one another, the outer one changes inputs first. Where a backward pass computes
    layers again, it belongs inside the block too.
    """
    found: list[tuple[nn.Module, Forward | None]] = []
    try:
        for site in sites:
            layer = model.get_submodule(site.path)
            before: Forward | None = vars(layer).get("forward")
            # noted before it is set, so that an interrupt between the two leaves nothing behind
            found.append((layer, before))
            layer.forward = changed_forward(layer, before, site, change, read)
        yield
    finally:
        for layer, before in reversed(found):
            if before is not None:
                layer.forward = before
            else:
                vars(layer).pop("forward", None)


def blocks_with(model: nn.Module, sites: Sequence[Site]) -> dict[nn.Module, list[Site]]:
    """The outermost numbered parts of a model, each with its sites. All sites are in one."""
    found: dict[nn.Module, list[Site]] = {}
    for site in sites:
        parts = site.path.split(".")
        number = next(place for place, part in enumerate(parts) if part.isdigit())
        block = model.get_submodule(".".join(parts[: number + 1]))
        found.setdefault(block, []).append(site)
    return found


def changed_forward(
    layer: nn.Module, before: Forward | None, site: Site, change: Change, read: Read
) -> Forward:
    """A layer's forward with changed inputs. before: the forward that it has as an attribute.

    A function and no object: for an object that is made for one call, torch.compile would compile
    anew at every call.
    """
    if before is not None and PARTS in (parts := getattr(before, "__dict__", {})):
        own, first, reads = parts[PARTS]
        both = one_after_the_other(first, change)
    else:
        own, both, reads = layer.forward, change, read if before is None else None
    if site.side == "kv":
        forward = for_both(layer, own, site, both, reads)
    else:
        forward = for_one(own, site, both)
    vars(forward)[PARTS] = own, both, reads
    return forward


def one_after_the_other(first: Change, second: Change) -> Change:
    return lambda site, side, x: second(site, side, first(site, side, x))


def in_a_row(changes: Sequence[Change]) -> Change | None:
    """All changes as one, in their order; None if there are none."""
    return reduce(one_after_the_other, changes) if changes else None


def changed(
    model: nn.Module, sites: Sequence[Site], change: Change | None, read: Read = read_plain
) -> AbstractContextManager[None]:
    """As installed, if any change is given."""
    return nullcontext() if change is None else installed(model, sites, change, read)


def for_one(own: Forward, site: Site, change: Change) -> Forward:
    return lambda x, *more, **named: own(change(site, site.side, x), *more, **named)


def for_both(
    layer: nn.Module, own: Forward, site: Site, change: Change, read: Read | None
) -> Forward:
    """read: None if the layer's weights are not all that it computes with."""

    def forward(x: Tensor, *more: Any, **named: Any) -> Tensor:
        for_keys, for_values = change(site, "k", x), change(site, "v", x)
        if for_keys is x and for_values is x:
            return own(x, *more, **named)
        inputs = x, for_keys, for_values, x
        reading = read(layer, x) if read and not (more or named) else None
        if reading is None:
            return by_picked_rows(lambda each: own(each, *more, **named), inputs, site.rows)
        with reading as (weight, bias):
            return by_row_blocks(weight, bias, inputs, site.rows)

    return forward
