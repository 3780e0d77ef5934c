"""Compiled models inside ComfyUI's own process: each picture is that of the model as it is,
whatever ran before. dynamo is never reset within an order, as it is not in a user's process.

python check_compiled.py COMFYUI_DIR REPOSITORY BACKEND ATTENTION

BACKEND is torch.compile's. ATTENTION is "pytorch", where the UNet is one graph, as on a GPU, or
"sub_quad", ComfyUI's on a CPU, where graphs break in every block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from check_apply import TEXT, Pack, sampled, start, tiny_model

TOLERANCE = 1e-3  # float32; inductor adds up in another order, and an error grows from step to step
APART = 100 * TOLERANCE  # pictures of an order differ by more


def main() -> None:
    comfyui, repository, backend, attention = sys.argv[1:]
    pytorch = attention == "pytorch"
    pack = start(comfyui, repository, use_pytorch_cross_attention=pytorch)
    with torch.inference_mode():
        for name in ORDERS if pytorch else ("bare_first",):
            torch._dynamo.reset()
            follow(ORDERS[name](Models(pack)), backend)
            print(f"{backend} {attention} {name}")


class Models:
    """A model, and clones of it that carry something."""

    def __init__(self, pack: Pack):
        self.pack = pack
        self.bare = tiny_model()
        self.networks = pack.network(), pack.network(activation="swish")

    def applied(self, strength: float, network: int = 0, to=None, **settings):
        model = self.bare if to is None else to
        return self.pack.apply(model, self.networks[network], strength, **settings)[0]

    def with_lora(self, model):
        """As a LoRA does, in the weights that a network's keys reach too."""
        name = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
        shape = model.model.state_dict()[name].shape
        lora = torch.randn(shape, generator=torch.Generator().manual_seed(5))
        assert shape[1] == TEXT
        patched = model.clone()
        patched.add_patches({name: (lora,)}, 0.3)
        return patched


Order = list[tuple[str, Callable, Callable]]


def after(make: Callable) -> tuple[Callable, Callable]:
    """Core's compile node behind the last of ours; and the same without it."""
    return (lambda compiled: compiled(make())), make


def bare_first(models: Models) -> Order:
    def apply(strength):
        return after(lambda: models.applied(strength))

    return [
        ("none", *after(lambda: models.bare)),
        ("1.0", *apply(1.0)),
        ("0.2", *apply(0.2)),
        ("none again", *after(lambda: models.bare)),
        ("0.5", *apply(0.5)),
        ("1.0 again", *apply(1.0)),
    ]


def network_first(models: Models) -> Order:
    first = models.applied(0.5)
    return [
        ("1.0", *after(lambda: models.applied(1.0))),
        ("none", *after(lambda: models.bare)),
        (
            "the compile node before Apply",
            lambda compiled: models.applied(0.2, to=compiled(models.bare)),
            lambda: models.applied(0.2),
        ),
        ("a LoRA beside it", *after(lambda: models.with_lora(models.applied(0.7)))),
        ("a LoRA alone", *after(lambda: models.with_lora(models.bare))),
        ("two networks", *after(lambda: models.applied(0.8, 1, to=first))),
        ("the second alone", *after(lambda: models.applied(0.8, 1))),
        ("for a part of the way", *after(lambda: models.applied(0.9, end_percent=0.5))),
        ("for one prompt", *after(lambda: models.applied(0.9, applies_to="negative"))),
        ("none again", *after(lambda: models.bare)),
    ]


ORDERS: dict[str, Callable[[Models], Order]] = {
    "bare_first": bare_first,
    "network_first": network_first,
}


def follow(order: Order, backend: str) -> None:
    """Every picture of an order, one after the other; compiled code serves all of them."""
    from torch._dynamo.utils import counters

    plain = {what: sampled(make()) for what, _, make in order}
    names = [name for name in plain if not name.endswith("again")]
    for place, one in enumerate(names):
        for other in names[:place]:
            apart = float((plain[one] - plain[other]).abs().max())
            assert apart > APART, f'"{one}" and "{other}" differ by {apart}: either would pass'
    for what, compile_it, _ in order:
        counters.clear()
        error = float((sampled(compile_it(compiled_by(backend))) - plain[what]).abs().max())
        graphs = counters["stats"]["unique_graphs"]
        print(f"  {what}: differs by {error:.1e}, {graphs} graphs compiled")
        assert error < TOLERANCE, what
        assert not (graphs and what.endswith("again")), "what was compiled serves again"


def compiled_by(backend: str) -> Callable:
    """Core's node. It offers no backend that runs without a compiler, so here is what it does."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from comfy_extras.nodes_torch_compile import TorchCompileModel, skip_torch_compile_dict

    def compiled(model):
        if backend == "inductor":
            return TorchCompileModel.execute(model, backend)[0]
        clone = model.clone(disable_dynamic=True)
        options = {"guard_filter_fn": skip_torch_compile_dict}
        set_torch_compile_wrapper(model=clone, backend=backend, options=options)
        return clone

    return compiled


if __name__ == "__main__":
    main()
