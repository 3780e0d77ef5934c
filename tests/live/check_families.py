"""The census of every family in ComfyUI's own process, on tiny random models of the real classes.

python check_families.py COMFYUI_DIR REPOSITORY

Prints a line for each family: its class, how many sites it has, for each stream its blocks and its
width, and "passed", or why not. Attention is torch's own here, where tiny_models/reach.py watches.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
from pathlib import Path

import tiny_models
import torch
from check_apply import start
from torch import nn


def main() -> None:
    comfyui, repository = sys.argv[1:]
    start(comfyui, repository, use_pytorch_cross_attention=True)
    for name in tiny_models.RECIPES:
        print(line_of(name))
    for check in CHECKS:
        check()
        print(check.__name__)


def line_of(name: str) -> str:
    tiny = tiny_models.build(name)
    model = tiny.patcher.model
    diffusion_model = model.diffusion_model
    kind = type(diffusion_model)
    try:
        census = take_census(diffusion_model)
        inputs = tiny_models.inputs(tiny)
        reach.check(diffusion_model, model.apply_model, inputs, census.sites)
    except Exception as fault:  # one family says nothing of the others
        return f"{name}: {kind.__module__}.{kind.__qualname__}: {fault!r}"
    return (
        f"{name}: {census.architecture}, {kind.__module__}.{kind.__qualname__}, "
        f"{len(census.sites)} sites, {streams_of(census)}: passed"
    )


def streams_of(census) -> str:
    """ "image 2x64, text 2x64": blocks and widths."""
    blocks = {site.place.stream: site.place.of for site in census.sites}
    widths = census.widths()
    return ", ".join(
        f"{stream} {blocks[stream]}x{'+'.join(map(str, widths[stream]))}" for stream in blocks
    )


def cast_quantised_and_foreign_layers_have_the_same_sites():
    """float8 weights with manual cast; core's quantised layers; layers that only have a weight."""
    import comfy.ops

    def quantised(linear: nn.Module) -> nn.Module:
        kind = comfy.ops.mixed_precision_ops().Linear
        return kind(linear.in_features, linear.out_features)

    for name in ("flux", "lumina2", "anima", "sd3"):
        plain = take_census(tiny_models.build(name).patcher.model.diffusion_model)
        cast = tiny_models.build(name, torch.float8_e4m3fn, torch.bfloat16)
        model = cast.patcher.model.diffusion_model
        assert take_census(model) == plain
        for kind in (quantised, Packed):
            other = copy.deepcopy(model)
            for site in plain.sites:
                path, _, layer = site.path.rpartition(".")
                owner = other.get_submodule(path)
                setattr(owner, layer, kind(getattr(owner, layer)))
            assert take_census(other) == plain


class Packed(nn.Module):
    """A quantised layer of a foreign class: it has a weight with a shape, and no more."""

    def __init__(self, linear: nn.Module):
        super().__init__()
        self.weight = linear.weight


def text_encoders_inside_a_model_are_left_alone():
    for name, inside in (("anima", "llm_adapter"), ("hunyuan_video", "txt_in"), ("krea2", "txtf")):
        model = tiny_models.build(name).patcher.model.diffusion_model
        assert any(path.startswith(inside) for path, _ in model.named_modules())
        sites = take_census(model).sites
        assert not any(site.path.startswith(inside) for site in sites)


def the_last_text_block_of_sd3_is_counted():
    model = tiny_models.build("sd3").patcher.model.diffusion_model
    assert model.joint_blocks[2].context_block.pre_only
    paths = [site.path for site in take_census(model).sites]
    assert "joint_blocks.2.context_block.attn.qkv" in paths


def a_class_that_has_changed_is_refused():
    model = tiny_models.build("flux").patcher.model.diffusion_model
    model.single_blocks[1].mlp_hidden_dim_first += 1
    try:
        take_census(model)
    except ValueError as refusal:
        assert "single_blocks.1.linear1 has 448 rows" in str(refusal), refusal
        assert "comfy.ldm.flux.model.Flux is built in a way" in str(refusal), refusal
    else:
        raise AssertionError("rows that do not add up were accepted")


CHECKS = [
    cast_quantised_and_foreign_layers_have_the_same_sites,
    text_encoders_inside_a_model_are_left_alone,
    the_last_text_block_of_sd3_is_counted,
    a_class_that_has_changed_is_refused,
]


def load_reach():
    """tests/ itself must not be on sys.path: its nodes/ would hide ComfyUI's."""
    file = Path(__file__).parents[1] / "tiny_models" / "reach.py"
    spec = importlib.util.spec_from_file_location("reach", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def take_census(model: nn.Module):
    return importlib.import_module("hypernet.families").take_census(model)


reach = load_reach()

if __name__ == "__main__":
    main()
