"""The census: every layer of a model that makes keys or values, with its place and its width.

Classes are matched by their names as text, so no host is imported. Only what the tables say is
found, and all of it must be there: a host that changed is refused, never cut at a wrong row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ..network.places import Place
from .comfyui_table import COMFYUI
from .diffusers_table import DIFFUSERS
from .rows import Attention, Changed, Fused, Separate, linear_shape

FAMILIES = COMFYUI | DIFFUSERS


@dataclass(frozen=True)
class Site:
    """One linear layer whose input a network changes, found in a model."""

    path: str  # of the layer inside the model that was searched
    place: Place
    width: int  # of its input
    side: str  # "k", "v", or "kv" where one layer makes both
    rows: tuple[int, ...] = ()  # of a fused layer: rows of q, k, v, and of the rest


@dataclass(frozen=True)
class Census:
    """What a model is, in ComfyUI's words for its `image_model`, and all its sites.

    Sites of one stream are counted in the order in which they run.
    """

    architecture: str
    sites: tuple[Site, ...]

    def widths(self) -> dict[str, tuple[int, ...]]:
        """The widths of each stream, ascending."""
        found: dict[str, set[int]] = {}
        for site in self.sites:
            found.setdefault(site.place.stream, set()).add(site.width)
        return {stream: tuple(sorted(widths)) for stream, widths in found.items()}


def take_census(model: nn.Module) -> Census:
    """The sites of a diffusion model: ComfyUI's `diffusion_model`, or a transformer or UNet of
    diffusers.

    Raises ValueError if the class of the model is not in the tables, if it is not as it is known
    there, or if its projections are fused afterwards.
    """
    family = FAMILIES.get(class_name(model))
    if family is None:
        raise ValueError(
            f"models of the class {class_name(model)} are not known, so networks cannot act "
            "on them."
        )
    try:
        architecture = family.architecture
        if not isinstance(architecture, str):
            architecture = architecture(model)
        streams: dict[str, list[list[Site]]] = {}
        for attention in family.attentions:
            for path, module in modules_of(model, attention):
                for layers in attention.layers:
                    if sites := sites_of(path, module, layers):
                        streams.setdefault(layers.stream, []).append(sites)
    except (AttributeError, Changed) as fault:
        raise ValueError(
            f"{class_name(model)} is built in a way that is not known here: {fault}. "
            "Update Hypernet, or the program that brought the model."
        ) from fault
    return Census(architecture, tuple(numbered(streams)))


def class_name(module: nn.Module) -> str:
    """ "module.Class", of what is inside where torch.compile has wrapped it."""
    kind = type(getattr(module, "_orig_mod", module))
    return f"{kind.__module__}.{kind.__qualname__}"


def modules_of(model: nn.Module, attention: Attention) -> Iterator[tuple[str, nn.Module]]:
    """The attention modules of a row, with their paths in the model, in the order they run."""
    for part in attention.parts:
        blocks = model.get_submodule(part)
        if attention.every:
            for number, block in blocks.named_children():
                path = ".".join(name for name in (part, number, attention.path) if name)
                yield path, checked(path, block.get_submodule(attention.path), attention)
        else:
            for path, module in blocks.named_modules(prefix=part):
                if path.endswith(f".{attention.path}"):
                    yield path, checked(path, module, attention)


def checked(path: str, module: nn.Module, attention: Attention) -> nn.Module:
    if class_name(module) not in attention.kinds:
        raise Changed(f"{path} is a {class_name(module)}, not a {' or '.join(attention.kinds)}")
    return module


def sites_of(path: str, module: nn.Module, layers: Separate | Fused) -> list[Site]:
    """The sites of one attention module, their places not yet numbered. [] if it needs none."""
    place = Place(layers.stream)
    if isinstance(layers, Fused):
        name = f"{path}.{layers.layer}"
        rows = layers.rows(module)
        found, width = linear_shape(layer_of(module, layers.layer, path))
        if sum(rows) != found or rows[0] != width:
            raise Changed(f"{name} has {found} rows of {width}, not {rows}")
        return [Site(name, place, width, "kv", rows)]
    if runs_fused(module):
        raise ValueError(
            f"the projections of {path} are fused, so keys and values have no input of "
            "their own. Call pipeline.unfuse_qkv_projections() first."
        )
    names = (layers.k, layers.v)
    if layers.optional and all(getattr(module, name, None) is None for name in names):
        return []
    return [
        Site(f"{path}.{name}", place, linear_shape(layer_of(module, name, path))[1], side)
        for side, name in zip("kv", names, strict=True)
    ]


def runs_fused(module: nn.Module) -> bool:
    """Whether diffusers calls a fused layer instead of to_k and to_v.

    Its older Attention keeps the flag when it is unfused; there the processor tells.
    """
    older = class_name(module).endswith(".attention_processor.Attention")
    processor = type(getattr(module, "processor", None)).__name__
    flag = bool(getattr(module, "fused_projections", False))
    return flag and (not older or processor.startswith("Fused"))


def layer_of(module: nn.Module, name: str, path: str) -> nn.Module:
    layer = getattr(module, name, None)
    if layer is None:
        raise Changed(f"{path} has no {name}")
    return layer


def numbered(streams: dict[str, list[list[Site]]]) -> Iterator[Site]:
    """The sites of each stream, block by block, with the number of the block of so many."""
    for stream, blocks in streams.items():
        for depth, sites in enumerate(blocks):
            place = Place(stream, depth, len(blocks))
            for site in sites:
                yield Site(site.path, place, site.width, site.side, site.rows)
