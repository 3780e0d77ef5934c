"""Apply Hypernet on a tiny transformer of every family, in ComfyUI's own process.

python check_dit_apply.py COMFYUI_DIR REPOSITORY FAMILY [NAMES OF CHECKS]

The reference is the model with a module of our own for each layer that makes keys or values: it
calls or cuts the layer itself and computes x + strength * f(x) in plain torch.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from check_apply import Pack, start
from tiny_models import build, inputs, sampled

STRENGTH = 0.7
VISIBLE = 1e-4  # a network that changes the output by less does nothing


def main() -> None:
    comfyui, repository, family, *names = sys.argv[1:]
    try_on(CHECKS, World(start(comfyui, repository), family), names)


def try_on(checks: Sequence[Callable], world: World, names: Sequence[str]) -> None:
    """Print a line for each check, or for those of the names."""
    with torch.inference_mode():
        for check in checks:
            if names and check.__name__ not in names:
                continue
            try:
                print(f"{world.family} {check.__name__}: {check(world) or 'right'}")
            except Exception as fault:
                line = traceback.extract_tb(fault.__traceback__)[-1].line
                said = f"{type(fault).__name__} {fault}: {line}"
                print(f"FAILED {world.family} {check.__name__}: {said}")
    print(f"{world.family}: all done")


class World:
    """A tiny model of a family, networks for all places of it, and one call of it."""

    def __init__(self, pack: Pack, family: str):
        self.pack, self.family = pack, family
        self.tiny = build(family)
        self.model = self.tiny.patcher
        self.census = importlib.import_module("hypernet.families").take_census(
            self.model.model.diffusion_model
        )
        self.places = tuple(
            (stream, width) for stream, widths in self.census.widths().items() for width in widths
        )
        self.first, self.second = self.network(1), self.network(2)
        with torch.inference_mode():
            self.bare = self.called(self.model)

    def network(self, seed: int, **settings):
        library = self.pack.library
        spec = {"places": self.places, "widths": (), "layer_structure": (1, 0.5, 1), "seed": seed}
        spec |= {"activation": "relu", "weight_initialization": "XavierNormal"} | settings
        record = importlib.import_module("hypernet.network.hypernetwork").Record(
            architecture=self.census.architecture, name=f"network {seed}"
        )
        return library.Hypernetwork(library.HypernetSpec(**spec), record)

    def applied(self, *networks, to=None, **effect):
        model = to or self.model
        for network in networks:
            model = self.pack.apply(model, network, STRENGTH, **effect)[0]
        return model

    def called(self, model, batch: int = 2, **options) -> torch.Tensor:
        """One call of apply_model as core's sampler does it, with what this clone carries."""
        import comfy.model_management as management

        management.load_models_gpu([model])
        return called_as_loaded(self.tiny, model, batch, **options)

    def reference(self, chain, model=None) -> torch.Tensor:
        """chain: (network, strength on keys, strength on values), in order."""
        import comfy.model_management as management

        model = model or self.model
        management.load_models_gpu([model])  # its LoRAs are then in the weights
        unet = model.model.diffusion_model
        layers = [(*site.path.rpartition(".")[::2], site) for site in self.census.sites]
        before = {site.path: unet.get_submodule(site.path) for *_, site in layers}
        for parent, name, site in layers:
            setattr(unet.get_submodule(parent), name, Cut(before[site.path], site, chain))
        given = inputs(self.tiny, 2)
        given["transformer_options"] = {"sigmas": given["t"][:1], "cond_or_uncond": [0, 0]}
        found = model.model.apply_model(**given)
        for parent, name, site in layers:
            setattr(unet.get_submodule(parent), name, before[site.path])
        return found

    def is_left_alone(self) -> bool:
        unet = self.model.model.diffusion_model
        return not any("forward" in vars(each) for each in unet.modules())


def called_as_loaded(tiny, model, batch: int = 2, **options) -> torch.Tensor:
    given = inputs(tiny, batch)
    asked = {"sigmas": given["t"][:1], "cond_or_uncond": [0] * batch, "wrappers": model.wrappers}
    given["transformer_options"] = model.model_options["transformer_options"] | asked | options
    return model.model.apply_model(**given)


class Cut(torch.nn.Module):
    """A layer with its own input for keys and for values."""

    def __init__(self, layer, site, chain):
        super().__init__()
        self.layer, self.site, self.chain = layer, site, chain

    def forward(self, x):
        if self.site.side != "kv":
            return self.layer(self.changed(x, self.site.side))
        parts, each = [], (x, self.changed(x, "k"), self.changed(x, "v"), x)
        ends = [0, *torch.tensor(self.site.rows).cumsum(0).tolist()]
        for (start_, end), tokens in zip(pairwise(ends), each, strict=False):
            bias = None if self.layer.bias is None else self.layer.bias[start_:end]
            parts.append(F.linear(tokens, self.layer.weight[start_:end], bias))
        return torch.cat(parts, -1)

    def changed(self, x, side):
        for network, *strengths in self.chain:
            pair = network.spec.pair_at(x.shape[-1], self.site.place)
            if pair is not None:
                x = x + strengths["kv".index(side)] * network.mlp(pair, side)(x)
        return x


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def close(found: torch.Tensor, right: torch.Tensor, bare: torch.Tensor, tolerance=1e-6) -> str:
    effect, error = apart(right, bare), apart(found, right)
    assert effect > VISIBLE, f"no effect: {effect}"
    assert error <= tolerance * max(1.0, float(right.abs().max())), f"{error:.1e} off, {effect:.1e}"
    return f"effect {effect:.1e}, off by {error:.1e}"


# --- the checks ----------------------------------------------------------------------------------


def a_strength_of_nothing_is_bitwise_bare(world):
    for effect in ({"strength_k": 0.0, "strength_v": 0.0}, {"curve": "0: 0"}):
        assert world.called(world.applied(world.first, **effect)).equal(world.bare)
    assert world.pack.apply(world.model, world.first, 0.0)[0] is world.model


def a_stream_that_is_not_there_is_bitwise_bare(world):
    effects = importlib.import_module("hypernet.apply.effect")
    strange = world.network(3, places=(("cross_image", 48),))
    model = world.pack.compat.with_network(world.model, strange, effects.Effect())
    assert world.called(model).equal(world.bare)


def a_network_is_the_reference(world):
    model = world.applied(world.first)
    found = world.called(model)
    right = world.reference([(world.first, STRENGTH, STRENGTH)])
    assert world.is_left_alone() and world.called(world.model).equal(world.bare)
    assert world.called(model).equal(found)
    return close(found, right, world.bare)


def keys_and_values_are_told_apart(world):
    for effect, on in (({"strength_v": 0.0}, (STRENGTH, 0)), ({"strength_k": 0.0}, (0, STRENGTH))):
        found = world.called(world.applied(world.first, **effect))
        said = close(found, world.reference([(world.first, *on)]), world.bare)
    return said


def two_in_a_chain_act_in_its_order(world):
    chain = [(network, STRENGTH, STRENGTH) for network in (world.first, world.second)]
    found = world.called(world.applied(world.first, world.second))
    turned = world.called(world.applied(world.second, world.first))
    assert apart(found, turned) > VISIBLE
    return close(found, world.reference(chain), world.bare)


def clones_do_not_see_each_other(world):
    first = world.applied(world.first)
    second = world.applied(world.second, to=first.clone())
    alone = world.called(first)
    both = world.called(second)
    assert world.called(first).equal(alone) and not both.equal(alone)
    assert world.called(world.model).equal(world.bare)


def only_one_prompt_can_be_changed(world):
    model, whole = world.applied(world.first, applies_to="positive"), world.applied(world.first)
    found = world.called(model, cond_or_uncond=[1, 0])
    changed = world.called(whole)
    assert apart(found[:1], world.bare[:1]) <= 1e-5 < apart(found[1:], world.bare[1:])
    assert apart(found[1:], changed[1:]) <= 1e-5


def groups_of_blocks_have_their_own_pairs(world):
    network = world.network(4, groups=2)
    found = world.called(world.applied(network))
    return close(found, world.reference([(network, STRENGTH, STRENGTH)]), world.bare)


def loras(world) -> dict:
    draw, found = torch.Generator().manual_seed(5), {}
    state = world.model.model.state_dict()
    for site in world.census.sites:
        name = f"diffusion_model.{site.path}.weight"
        found[name] = (torch.randn(state[name].shape, generator=draw) * 0.05,)
    return found


def a_lora_on_the_same_layers_acts_before_and_after(world):
    lora = world.model.clone()
    assert len(lora.add_patches(loras(world), 0.5)) == len(world.census.sites)
    after = world.applied(world.first)
    after.add_patches(loras(world), 0.5)
    before = world.applied(world.first, to=lora)
    only_lora = world.called(lora)
    right = world.reference([(world.first, STRENGTH, STRENGTH)], lora)
    close(world.called(before), right, only_lora)
    said = close(world.called(after), right, only_lora)
    assert world.called(world.model).equal(world.bare)
    return said


def a_lora_added_on_the_fly_acts(world):
    """As where a model is larger than the card: weights stay as they are, and forward adds."""
    import comfy.model_management as management

    lora = world.applied(world.first)
    lora.add_patches(loras(world), 0.5)
    right = world.called(lora)
    management.unload_all_models()
    lora.partially_unload(torch.device("cpu"), 1e12)
    lora.unpatch_model()
    lora.load(torch.device("cpu"), lowvram_model_memory=1, full_load=False)
    unet = lora.model.diffusion_model
    streamed = [unet.get_submodule(site.path).weight_function for site in world.census.sites]
    found = called_as_loaded(world.tiny, lora)
    lora.unpatch_model()
    assert any(streamed), "no LoRA was added on the fly"
    return close(found, right, world.bare, 1e-5)


def a_picture_is_drawn_and_the_model_is_left_alone(world):
    bare = sampled(world.tiny)
    found = sampled(world.tiny, world.applied(world.first))
    assert apart(found, bare) > VISIBLE and world.is_left_alone()
    assert sampled(world.tiny).equal(bare)


def a_file_of_widths_alone_acts_where_it_did(world):
    library, text = world.pack.library, 24
    spec = library.HypernetSpec(widths=(text,), weight_initialization="XavierNormal")
    old = library.Hypernetwork(spec)
    try:
        applied = world.pack.apply(world.model, old, STRENGTH)
    except ValueError as refusal:
        assert world.family not in ("anima", "cosmos_predict2"), refusal
        assert world.census.architecture in str(refusal)
        return f"refused: {refusal}"
    (warning,) = applied.ui.as_dict()["text"]
    assert world.census.architecture in warning
    found = world.called(applied[0])
    return close(found, world.reference([(old, STRENGTH, STRENGTH)]), world.bare)


def a_hook_acts_on_its_conditioning_by_its_keyframes(world):
    import comfy.hooks

    def drawn(*hooks, strengths=(1.0,), model=None):
        """The positive prompt has these hooks, and each step is a keyframe."""
        positive = [[text, dict(more)] for text, more in world.tiny.conditioning]
        group = None
        for network, strength in hooks:
            group = world.pack.hook(network, strength, group)[0]
        if group is not None:
            frames = comfy.hooks.HookKeyframeGroup()
            for number, factor in enumerate(strengths):
                start = max(0.0, number / len(strengths) - 0.01)  # not beside a step's noise level
                frames.add(comfy.hooks.HookKeyframe(factor, start, 1))
            group.set_keyframes_on_hooks(frames)
            positive = comfy.hooks.set_hooks_for_conditioning(positive, group)
        return sampled(replace(world.tiny, conditioning=positive), model)

    bare = drawn()
    one = drawn((world.first, STRENGTH))
    asked = world.applied(world.first, applies_to="positive")
    assert apart(one, bare) > VISIBLE
    error = apart(one, drawn(model=asked))
    assert error <= 1e-4, f"{error:.1e} off"
    # core calls the model for each prompt apart if one has hooks, so sums are in another order
    assert apart(drawn((world.first, STRENGTH), strengths=(0.0,)), bare) <= 1e-4
    late = drawn((world.first, STRENGTH), strengths=(0.0, 1.0))
    assert apart(late, bare) > VISIBLE < apart(late, one)
    half = drawn((world.first, STRENGTH), strengths=(0.5,))
    assert apart(half, drawn((world.first, STRENGTH / 2))) == 0
    both = drawn((world.first, STRENGTH), (world.second, STRENGTH))
    assert apart(both, one) > VISIBLE
    beside = drawn((world.second, STRENGTH), model=asked)
    turned = drawn((world.second, STRENGTH), (world.first, STRENGTH))
    assert apart(beside, turned) <= 1e-4, "the hook's network acts first, and each only once"
    assert drawn().equal(bare) and world.is_left_alone()
    return f"off by {error:.1e}"


def float8_weights_with_manual_cast(world):
    tiny = build(world.family, torch.float8_e4m3fn, torch.float32)
    bare = world.called(tiny.patcher)
    found = world.called(world.applied(world.first, to=tiny.patcher))
    for weight in tiny.patcher.model.diffusion_model.parameters():
        if weight.dtype == torch.float8_e4m3fn:
            weight.data = weight.data.float()
    right = world.reference([(world.first, STRENGTH, STRENGTH)], tiny.patcher)
    return close(found, right, bare, 1e-5)


def compiled_models_heed_networks_that_come_and_go(world):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    torch._dynamo.reset()

    def compiled(model):
        model = model.clone()
        set_torch_compile_wrapper(model=model, backend="eager", options={"guard_filter_fn": heeded})
        return model

    bare, one = compiled(world.model), compiled(world.applied(world.first))
    other = world.applied(world.second, to=compiled(world.model))
    right = {
        model: world.called(plain)
        for model, plain in (
            (one, world.applied(world.first)),
            (other, world.applied(world.second)),
        )
    }
    right[bare] = world.bare
    assert min(apart(right[bare], right[model]) for model in (one, other)) > VISIBLE
    for model in (bare, one, other, bare, other, one):
        assert apart(world.called(model), right[model]) <= 1e-5


def heeded(guards):
    return ["transformer_options" not in guard.name for guard in guards]


CHECKS = [
    check
    for name, check in list(globals().items())
    if callable(check) and getattr(check, "__code__", None) is not None
    and check.__code__.co_varnames[:1] == ("world",) and name != "loras"
]  # fmt: skip

if __name__ == "__main__":
    main()
