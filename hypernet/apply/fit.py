"""Does a network fit a model? By the kind of model it was trained on, and by what both have: widths
in a UNet, places (streams of a width) in a transformer."""

from __future__ import annotations

from collections.abc import Mapping

from ..families import misfit
from ..formats.hns import Network


def check_fit(
    network: Network, widths: Mapping[str, tuple[int, ...]], architecture: str = ""
) -> str:
    """A warning if the network is for a related model, or fits in part only; "" if all of it fits.

    widths: of each stream of the model. architecture: of the model, as a census says it; "" for a
    UNet. Raises ValueError if it is another kind than the network's, or if the model has nothing
    that the network changes. Messages name what both have.
    """
    related = misfit(network.record.architecture, architecture)
    name, asked = network.record.name, {(kind, w) for kind in widths for w in widths[kind]}
    if network.spec.places:
        held, wanted = set(network.spec.places), asked
        lists = (
            f'The hypernetwork "{name}" was trained for places {in_words(held)}; '
            f"this model has {in_words(wanted) or 'none'}."
        )
    else:
        held, wanted = set(network.spec.widths), {width for _, width in asked}
        lists = (
            f'The hypernetwork "{name}" was trained for widths {in_words(held)}; '
            f"this model has {in_words(wanted) or 'none'}."
        )
    if not held & wanted:
        raise ValueError(f"{lists} Use the kind of model it was trained on.")
    if held <= wanted:
        return related
    partly = (
        f"{lists} Only {in_words(held & wanted)} can act, {in_words(held - wanted)} "
        "cannot: it was trained on another kind of model, and pictures will not be what it learnt."
    )
    return " ".join(filter(None, (related, partly)))


def in_words(found: set) -> str:
    """ "320, 768" for widths; "image 3072, joint 3072" for places."""
    names = [each if isinstance(each, tuple) else (each,) for each in sorted(found)]
    return ", ".join(" ".join(map(str, each)) for each in names)
