"""Compiled modules respect patches, although the host drops the guards on transformer_options."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypernet_pack.compat.compiled_models import CompiledAgain, drops_guards
from torch._dynamo.utils import counters

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import Effect, make_schedule
from hypernet.apply.patches import make_patches

WIDTH = 8
NETWORK = Hypernetwork(
    HypernetSpec(widths=(WIDTH,), activation="relu", weight_initialization="XavierNormal")
)
OTHER = Hypernetwork(
    HypernetSpec(widths=(WIDTH,), activation="swish", weight_initialization="KaimingNormal")
)
BARE: dict = {}


class Block(torch.nn.Module):
    def __init__(self, broken: bool):
        super().__init__()
        self.to_k, self.to_v = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        self.broken = broken

    def forward(self, x, transformer_options):
        extra = {}
        patches = {}
        for name in transformer_options:
            if name == "patches":
                patches = transformer_options[name]
            else:
                extra[name] = transformer_options[name]
        keys = values = x
        if self.broken:
            torch._dynamo.graph_break()
        if "attn1_patch" in patches:
            for patch in patches["attn1_patch"]:
                _, keys, values = patch(x, keys, values, extra)
        return x + self.to_k(keys) * self.to_v(values)


class Unet(torch.nn.Module):
    def __init__(self, broken: bool):
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block(broken) for _ in range(2))

    def forward(self, x, transformer_options):
        for block in self.blocks:
            x = block(x, transformer_options)
        return x


class Host(torch.nn.Module):
    """A model as ComfyUI compiles it: guards on transformer_options are dropped."""

    def __init__(self, broken: bool = False):
        super().__init__()
        torch._dynamo.reset()
        torch.manual_seed(0)
        self.diffusion_model = Unet(broken).requires_grad_(False)
        self.plain = self.diffusion_model
        self.asked = {"backend": "eager", "options": {"guard_filter_fn": drop}}
        self.compiled = torch.compile(self.plain, **self.asked)
        self.again = CompiledAgain()

    def draw(self, patches: dict, heeding: bool = True, **options) -> torch.Tensor:
        """Run compiled code, in which calls without our patches are as the host makes them."""
        self.diffusion_model = self.compiled
        try:
            if not heeding or not patches:
                return self.diffusion_model(tokens(), {**patches, **options})
            with self.again.within(self, self.asked):
                return self.diffusion_model(tokens(), {**patches, **options})
        finally:
            self.diffusion_model = self.plain

    def right(self, patches: dict, **options) -> torch.Tensor:
        return self.plain(tokens(), {**patches, **options})


def drop(guards):
    return ["transformer_options" not in guard.name for guard in guards]


def tokens() -> torch.Tensor:
    return torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1))


def patched(strength: float = 1.0, network: Hypernetwork = NETWORK, **settings) -> dict:
    patch, _ = make_patches(network, Effect(strength=strength, **settings))
    return {"patches": {"attn1_patch": [patch]}}


def chained(*dicts: dict) -> dict:
    patches = [patch for each in dicts for patch in each["patches"]["attn1_patch"]]
    return {"patches": {"attn1_patch": patches}}


ORDERS: dict[str, list[Callable[[], dict]]] = {
    "bare first": [lambda: BARE, patched, lambda: patched(0.2), lambda: BARE, patched],
    "bare last": [patched, lambda: patched(0.2), lambda: patched(-0.5), lambda: BARE],
    "another network": [patched, lambda: patched(network=OTHER), lambda: BARE, patched],
    "two networks": [
        patched,
        lambda: chained(patched(0.5), patched(network=OTHER)),
        lambda: chained(patched(network=OTHER), patched(0.5)),
        patched,
    ],
}


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "with graph breaks"])
@pytest.mark.parametrize("order", ORDERS)
def test_in_any_order_compiled_code_computes_what_plain_code_computes(order, broken):
    host = Host(broken)
    for make in ORDERS[order]:
        patches = make()
        torch.testing.assert_close(host.draw(patches), host.right(patches))


def test_without_us_the_host_reuses_code_compiled_for_another_strength():
    host = Host()
    host.draw(BARE, heeding=False)
    for strength in (1.0, 0.2):
        found = host.draw(patched(strength), heeding=False)
        assert found.equal(host.right(BARE)), "torch heeds patches by itself"


def test_without_a_guard_filter_torch_respects_patches_by_itself():
    host = Host()
    host.compiled = torch.compile(host.plain, backend="eager")
    for patches in (BARE, patched(), patched(0.2), BARE):
        found = host.draw(patches, heeding=False)
        torch.testing.assert_close(found, host.right(patches))


def test_a_third_strength_compiles_nothing():
    host, made = Host(), []
    for strength in (1.0, 0.2, 0.5, 1.0, -0.3):
        counters.clear()
        host.draw(patched(strength))
        made.append(counters["stats"]["unique_graphs"])
    assert made == [1, 1, 0, 0, 0]


def test_a_network_on_one_prompt_keeps_both_halves_of_a_guided_step_apart():
    host = Host()
    for halves in ([0], [1], [0, 1], [1, 0], [0]):
        patches = patched(prompts="positive")
        found = host.draw(patches, cond_or_uncond=halves)
        torch.testing.assert_close(found, host.right(patches, cond_or_uncond=halves))


def test_the_moment_of_a_schedule_is_read_again_in_every_call():
    host = Host()
    schedule = make_schedule(lambda percent: 10 * (1 - percent), 0.2, 0.8, ((0, 1), (1, 0)))
    for sigma in (9.0, 5.0, 4.0, 1.0):
        patches = patched(schedule=schedule)
        sigmas = torch.full((2,), sigma)
        found = host.draw(patches, sigmas=sigmas)
        torch.testing.assert_close(found, host.right(patches, sigmas=sigmas))


def test_blocks_compiled_one_by_one_respect_patches_too():
    host = Host()
    for place, block in enumerate(host.plain.blocks):
        host.plain.blocks[place] = torch.compile(
            block, backend="eager", options={"guard_filter_fn": drop}
        )
    right = Unet(False).requires_grad_(False)
    right.load_state_dict(
        {name.replace("._orig_mod", ""): value for name, value in host.plain.state_dict().items()}
    )
    for patches in (BARE, patched(), patched(0.2), BARE):
        found = host.plain(tokens(), patches)
        if patches:
            with host.again.within(host, host.asked):
                found = host.plain(tokens(), patches)
        torch.testing.assert_close(found, right(tokens(), patches))


def test_the_hosts_modules_are_restored_even_after_an_error():
    host = Host()
    host.diffusion_model = host.compiled
    with pytest.raises(KeyError), host.again.within(host, host.asked):
        assert host.diffusion_model is not host.compiled
        raise KeyError
    assert host.diffusion_model is host.compiled


@pytest.mark.parametrize(
    ("asked", "drops"),
    [
        (None, False),
        ({"backend": "inductor", "options": None}, False),
        ({"backend": "inductor", "options": {}}, True),
    ],
)
def test_only_models_compiled_with_options_may_lack_guards(asked, drops):
    assert drops_guards(asked) == drops
