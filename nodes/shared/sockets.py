"""The pack's own socket types, and widgets made from the library's dataclasses."""

from collections.abc import Sequence
from collections.abc import Set as AnySet
from dataclasses import Field, dataclass, fields
from typing import Any

from hypernet.network.spec import HypernetSpec

from ...compat import io

CATEGORY = "hypernet"

HypernetSocket = io.Custom("HYPERNET")  # hypernet.Hypernetwork
ConfigSocket = io.Custom("HYPERNET_CONFIG")  # Config below
DatasetSocket = io.Custom("HYPERNET_DATASET")  # hypernet.dataset.Dataset


@dataclass(frozen=True)
class Config:
    """The network to train.

    open: which fields of the spec are only a guess yet. The model decides widths and
    layer_structure, the preset of the training decides weight_initialization. places, groups: for
    transformers, see hypernet/network/for_model.py.
    """

    spec: HypernetSpec
    open: AnySet[str]
    places: tuple[str, ...] = ()
    groups: int = 1


def default(settings: type, name: str) -> Any:
    """The default of a dataclass field. Widgets take theirs from here, so each stands only once."""
    return next(field.default for field in fields(settings) if field.name == name)


def chosen_widgets(
    settings: type, names: Sequence[str], *, optional: bool = False
) -> list[io.Input]:
    """Widgets for these fields, made from their metadata."""
    described = {each.name: each for each in fields(settings)}
    return [widget(described[name], optional=optional) for name in names]


def more_widgets(settings: type, others: Sequence[str]) -> list[io.Input]:
    """Optional widgets for all fields whose metadata describe one, except the `others`.

    They must come after all other inputs, so that saved workflows that lack them still run.
    """
    return [
        widget(each, optional=True)
        for each in fields(settings)
        if each.metadata and each.name not in others
    ]


def widget(each: Field, *, optional: bool) -> io.Input:
    about = each.metadata
    shared = {
        "default": each.default, "tooltip": about["about"], "optional": optional,
        "advanced": about["rare"],
    }  # fmt: skip
    if about["options"]:
        return io.Combo.Input(each.name, options=list(about["options"]), **shared)
    if isinstance(each.default, bool):
        return io.Boolean.Input(each.name, **shared)
    if isinstance(each.default, str):
        return io.String.Input(each.name, multiline=about["lines"], **shared)
    if each.name == "seed":  # without it the editor adds a widget that changes the seed each run
        shared["control_after_generate"] = False
    kind = io.Int if isinstance(each.default, int) else io.Float
    step = {} if about["step"] is None else {"step": about["step"]}
    return kind.Input(each.name, min=about["low"], max=about["high"], **step, **shared)


TOOLS = f"{CATEGORY}/tools"
