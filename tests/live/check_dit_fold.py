"""Fold Hypernet and Hypernet to LoRA on a tiny transformer of every family, inside ComfyUI.

python check_dit_fold.py COMFYUI_DIR REPOSITORY FAMILY [NAMES OF CHECKS]

Right is what Apply Hypernet does, which check_dit_apply.py holds against a reference of its own.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from check_apply import start
from check_dit_apply import STRENGTH, World, close, loras, try_on
from tiny_models import build, sampled

# fused layers whose keys and values core's loader knows by diffusers' names, or separate ones
KNOWN_PARTS = ("flux", "flux2", "chroma", "sd3", "z_image", "qwen_image", "hidream")
EXACT = 1e-5  # of float32 numbers, in another order of additions


def main() -> None:
    comfyui, repository, family, *names = sys.argv[1:]
    world = World(start(comfyui, repository), family)
    unet = world.model.model.diffusion_model
    world.has_biases = all(unet.get_submodule(s.path).bias is not None for s in world.census.sites)
    try_on(CHECKS, world, names)


def linear(world, seed: int = 1, *, bias: bool, **settings):
    network = world.network(seed, activation="linear", bias=bias, **settings)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.2, generator=chance)
    return network


def folded(world, *networks, to=None):
    model = to or world.model
    for network in networks:
        model = world.pack.fold(model, network, STRENGTH)[0]
    return model


def a_network_without_biases(world):
    network = linear(world, bias=False)
    right, found = world.applied(network), folded(world, network)
    right, found = world.called(right), world.called(found)
    assert world.called(world.model).equal(world.bare)
    return close(found, right, world.bare, EXACT)


def a_network_with_biases_folds_where_layers_have_them(world):
    network = linear(world, bias=True)
    if not world.has_biases:
        return refused(world, lambda: folded(world, network))
    right = world.called(world.applied(network))
    without = world.called(world.applied(constants_off(world, network)))
    assert not torch.allclose(right, without, atol=1e-4), "the constants change nothing"
    return close(world.called(folded(world, network)), right, world.bare, EXACT)


def constants_off(world, network):
    twin = network.copy()
    with torch.no_grad():
        for name, weight in twin.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    return twin


def refused(world, act):
    try:
        act()
    except ValueError as fault:
        said = str(fault)
        assert "no bias to hold it" in said and "bias off" in said and '"network 1"' in said, said
        assert any(site.path in said for site in world.census.sites), said
        return "refused with the reason"
    raise AssertionError("not refused")


def a_chain_with_groups_folds_in_its_order(world):
    first, second = (linear(world, seed, bias=False, groups=seed) for seed in (1, 2))
    right = world.called(world.applied(first, second))
    turned = world.called(world.applied(second, first))
    found = world.called(folded(world, first, second))
    assert float((turned - right).abs().max()) > 10 * float((found - right).abs().max())
    mixed = world.applied(second, to=folded(world, first))
    close(world.called(folded(world, second, to=world.applied(first))), right, world.bare, EXACT)
    # what is folded acts on what the applied network gives, whatever their order in the graph
    close(world.called(mixed), turned, world.bare, EXACT)
    return close(found, right, world.bare, EXACT)


def a_lora_before_it_is_in_the_weights(world):
    network, lora = linear(world, bias=False), world.model.clone()
    lora.add_patches(loras(world), 0.5)
    only_lora, right = world.called(lora), world.called(world.applied(network, to=lora))
    return close(world.called(folded(world, network, to=lora)), right, only_lora, EXACT)


def a_picture_is_drawn(world):
    network = linear(world, bias=False)
    bare, right = sampled(world.tiny), sampled(world.tiny, world.applied(network))
    return close(sampled(world.tiny, folded(world, network)), right, bare, EXACT)


def a_lora_file_that_cores_loader_reads(world):
    network, said = linear(world, bias=world.has_biases, layer_structure=(1, 0.25, 1)), ""
    for rank, numbers, tolerance in ((0, "float32", EXACT), (0, "float16", 3e-3)):
        model = world.pack.compat.attention_weights(world.model)
        lora = lora_file().to_lora(model, network, STRENGTH, rank=rank, numbers=numbers)
        assert lora.error < tolerance
        assert (world.family in KNOWN_PARTS) == any(".to_k.lora" in name for name in lora.tensors)
        said = close(
            loaded(world, lora), world.called(world.applied(network)), world.bare, tolerance
        )
    return said


def a_lora_of_enough_rank_is_exact_and_of_less_says_how_near(world):
    network, errors = linear(world, bias=False, layer_structure=(1, 0.25, 1)), []
    for rank in (4, max(width // 4 for _, width in world.places)):
        model = world.pack.compat.attention_weights(world.model)
        lora = lora_file().to_lora(model, network, STRENGTH, rank=rank, numbers="float32")
        errors.append(lora.error)
    right = world.called(world.applied(network))
    assert 0.01 < errors[0] < 1 and errors[1] < EXACT
    return close(loaded(world, lora), right, world.bare, EXACT)


def a_lora_file_is_refused_where_nothing_holds_a_constant(world):
    if world.has_biases:
        return "has biases"
    model = world.pack.compat.attention_weights(world.model)
    return refused(world, lambda: lora_file().to_lora(model, linear(world, bias=True)))


def float8_weights_take_what_their_numbers_can(world):
    tiny = build(world.family, torch.float8_e4m3fn, torch.float32)
    network = linear(world, bias=False)
    bare, right = world.called(tiny.patcher), world.called(world.applied(network, to=tiny.patcher))
    found = world.called(folded(world, network, to=tiny.patcher))
    near, far = float((found - right).norm()), float((bare - right).norm())
    assert near < far / 2, (near, far)
    return f"{near / far:.2f} of the effect is lost"


def the_estimate_is_of_the_streams_of_the_model(world):
    pack = importlib.import_module("pack.nodes.train.hypernet_config")
    given = dict.fromkeys(("layer_structure", "weight_initialization"), "auto")
    given |= {"activation": "linear", "layer_norm": False, "dropout_structure": ""}
    given |= {"activate_output": False, "widths": "", "seed": 0}
    config = pack.HypernetConfig.execute(**given).result[0]
    estimate = importlib.import_module("pack.nodes.use.inspect").EstimateHypernet.execute
    found, without = estimate(config, world.model).result[0], estimate(config).result[0]
    spec = world.network(1, layer_structure=(1, 0.25, 1)).spec
    refined = ("text", "image") if world.census.architecture in ("lumina2", "z_image") else ()
    places = tuple(place for place in spec.places if place[0] not in refined)
    right = replace(spec, places=places).parameters
    assert f"parameters   {right:,}\n" in found and f"{right:,}\n" not in without, found


def the_known_models_of_the_family_have_its_streams(world):
    known = importlib.import_module("hypernet.tools.known_models").KNOWN
    for model in known.values():
        if model.architecture == world.census.architecture:
            extra = {"self", "cross_image"}  # of 3.5 medium, and of models that take pictures
            assert set(model.streams) ^ set(world.census.widths()) <= extra, model


def width_factors_reach_every_place_of_the_width(world):
    network = linear(world, bias=False)
    width = world.places[0][1]
    halved = world.called(world.applied(network, width_factors=f"{width}: 0.5"))
    by_hand = network.copy()
    with torch.no_grad():
        for pair in by_hand.spec.pairs:
            if pair.width == width:
                for side in ("k", "v"):
                    by_hand.mlp(pair, side).linear[-1].weight.mul_(0.5)
    return close(halved, world.called(world.applied(by_hand)), world.bare, EXACT)


def lora_file():
    return importlib.import_module("hypernet.apply.lora_file")


def loaded(world, lora) -> torch.Tensor:
    """One call of the bare model with the file put on it by core's LoRA loader."""
    import comfy.sd
    import comfy.utils

    with tempfile.TemporaryDirectory() as folder:
        file = lora_file().save_lora(lora, Path(folder) / "lora.safetensors")
        read = comfy.utils.load_torch_file(str(file), safe_load=True)
    model, _ = comfy.sd.load_lora_for_models(world.model, None, read, 1.0, 0.0)
    return world.called(model)


CHECKS = [
    check
    for name, check in list(globals().items())
    if name.startswith(("a_", "the_", "float8", "width_factors"))
]

if __name__ == "__main__":
    main()
