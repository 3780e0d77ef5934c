"""Apply Hypernet among ComfyUI's other nodes, in its own process, against a reference.

python check_chains.py COMFYUI_DIR REPOSITORY [NAMES OF ROWS]

Each row is a small graph. It is drawn three times: with our node; with a reference, which computes
x + strength * f(x) by a hook before every to_k and to_v of a deep copy of the model, in plain torch
from the numbers of the file; and bare. Ours is to be the reference's picture, to the bit where a
row names no tolerance, and not the bare one. Prints how far apart they are.
"""

from __future__ import annotations

import copy
import importlib
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from check_apply import TEXT, Pack, residual, start, text, tiny_model

STEPS, CFG, SIZE = 3, 4.0, 8
VISIBLE = 1e-3  # a network that changes the picture by less does nothing
NETWORKS = (  # files, by name: what A1111's fields say
    ("first", {"activation": "relu"}),
    ("second", {"activation": "swish", "layer_structure": (1, 2, 2, 1)}),
    ("linear", {"activation": "linear"}),
)


def main() -> None:
    comfyui, repository, *names = sys.argv[1:]
    pack = start(comfyui, repository)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        write_files(pack, Path(folder))
        for row in ROWS:
            if names and row.name not in names:
                continue
            try:
                print(tried(row, pack, Path(folder)))
            except Exception as fault:
                print(f"FAILED {row.name}: {type(fault).__name__}: {fault}")


@dataclass(frozen=True)
class Row:
    """chain: the graph. reference: the graph of the reference, where it is another. acts: False
    where the network is lost, as docs/troubleshooting.md says."""

    name: str
    chain: Callable[[World], torch.Tensor]
    reference: Callable[[World], torch.Tensor] | None = None
    tolerance: float = 0.0
    reason: str = ""
    acts: bool = True


def tried(row: Row, pack: Pack, folder: Path) -> str:
    def drawn(world: World, graph: Callable[[World], torch.Tensor]) -> torch.Tensor:
        random.seed(0)
        torch.manual_seed(0)
        return graph(world)

    ours = drawn(World(pack, folder), row.chain)
    right = drawn(Reference(pack, folder), row.reference or row.chain)
    bare = drawn(Bare(pack, folder), row.chain)
    apart = float((ours - right).abs().max())
    effect = float((ours - bare).abs().max())
    assert ours.isfinite().all()
    assert apart <= row.tolerance, f"{apart:.1e} from the reference, allowed {row.tolerance:.0e}"
    assert (effect > VISIBLE) == row.acts, f"{effect:.1e} from bare"
    allowed = f"allowed {row.tolerance:.0e}: {row.reason}" if row.tolerance else "exact"
    return f"held {row.name} | {apart:.1e} from the reference ({allowed}) | {effect:.1e} from bare"


def write_files(pack: Pack, folder: Path) -> None:
    """The networks and a LoRA, where core's loaders find them."""
    import folder_paths
    from safetensors.torch import save_file

    for name, settings in NETWORKS:
        pack.library.save_network(pack.network(**settings), folder / f"{name}.pt")
    chance, lora = torch.Generator().manual_seed(7), {}
    for name, weight in tiny_model().model.diffusion_model.state_dict().items():
        if name.endswith((".to_k.weight", ".to_v.weight", ".to_out.0.weight")):
            place = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
            rows, columns = weight.shape
            lora[f"{place}.lora_up.weight"] = torch.randn(rows, 2, generator=chance) * 0.2
            lora[f"{place}.lora_down.weight"] = torch.randn(2, columns, generator=chance) * 0.2
    save_file(lora, folder / "lora.safetensors")
    for kind in ("loras", "hypernetworks"):
        folder_paths.add_model_folder_path(kind, str(folder))


class World:
    """Where a graph runs; here Apply Hypernet is our node."""

    def __init__(self, pack: Pack, folder: Path):
        self.pack, self.folder = pack, folder

    def apply(self, model, strength: float = 0.7, file: str = "first", **sides: float):
        network = self.pack.library.open_network(self.folder / f"{file}.pt")
        return self.pack.apply(model, network, strength, **sides)[0]

    def fold(self, model, strength: float = 0.7):
        network = self.pack.library.open_network(self.folder / "linear.pt")
        return self.pack.fold(model, network, strength)[0]

    def model(self, *types: torch.dtype, other: bool = False):
        """A checkpoint; another one has other weights."""
        model = tiny_model(*types)
        if other:
            for weight in model.model.diffusion_model.parameters():
                weight.copy_(weight.roll(1, 0))
        return model

    def node(self, place: str, *inputs, **named):
        """The first output of a core node, "file.Class"; files of comfy_extras without "nodes_"."""
        return self.outputs(place, *inputs, **named)[0]

    def outputs(self, place: str, *inputs, **named):
        file, _, name = place.rpartition(".")
        module = importlib.import_module(f"comfy_extras.nodes_{file}" if file else "nodes")
        node = getattr(module, name)
        if hasattr(node, "FUNCTION") and not hasattr(node, "define_schema"):
            return getattr(node(), node.FUNCTION)(*inputs, **named)
        return node.execute(*inputs, **named)

    def draw(
        self, model, positive=None, negative=None, *, latent=None, cfg=CFG, steps=STEPS,
        sampler="euler", scheduler="normal", denoise=1.0,
    ) -> torch.Tensor:  # fmt: skip
        settings = (1, steps, cfg, sampler, scheduler, positive or text(1), negative or text(2))
        return self.node(".KSampler", model, *settings, latent or empty(), denoise)["samples"]


class Reference(World):
    def apply(
        self, model, strength: float = 0.7, file: str = "first",
        strength_k: float = 1.0, strength_v: float = 1.0,
    ):  # fmt: skip
        content = torch.load(self.folder / f"{file}.pt", weights_only=True)
        hooked = model.clone(
            model_override=(with_unet_of_its_own(model.model), ({}, {}, {}, set()))
        )
        for name, module in hooked.model.diffusion_model.named_modules():
            for side, factor in enumerate((strength * strength_k, strength * strength_v)):
                if name.endswith((".to_k", ".to_v")[side]):
                    module.register_forward_pre_hook(changing(content, side, factor))
        return hooked

    def fold(self, model, strength: float = 0.7):
        return self.apply(model, strength, "linear")


def with_unet_of_its_own(model: torch.nn.Module) -> torch.nn.Module:
    """The whole cannot be copied deeply: a model's configuration has every attribute."""
    copied = copy.copy(model)
    unet = copy.deepcopy(model.diffusion_model)
    copied._modules = {**model._modules, "diffusion_model": unet}
    return copied


def changing(content: dict, side: int, factor: float) -> Callable:
    def change(module, inputs):
        (x,) = inputs
        if x.shape[-1] not in content:
            return None
        wide = x.float()
        return ((wide + residual(content, content[x.shape[-1]][side], wide) * factor).to(x.dtype),)

    return change


class Bare(World):
    def apply(self, model, *_, **__):
        return model

    def fold(self, model, *_):
        return model


def empty(count: int = 1, size: int = SIZE) -> dict:
    return {"samples": torch.zeros(count, 4, size, size)}


def picture(count: int = 1, size: int = SIZE) -> dict:
    chance = torch.Generator().manual_seed(11)
    return {"samples": torch.randn(count, 4, size, size, generator=chance)}


def half_mask(size: int = SIZE) -> torch.Tensor:
    mask = torch.zeros(1, size, size)
    mask[..., : size // 2] = 1
    return mask


def long_text(seed: int = 3) -> list:
    return [[torch.cat([text(seed)[0][0], text(seed + 1)[0][0]], 1), {}]]


# Nodes from a MODEL to a MODEL, each before Apply and after it: place, inputs, how it is drawn

SOFT = {"latent": {**picture(), "noise_mask": torch.linspace(0, 1, SIZE).expand(1, SIZE, SIZE)}}
TILED = {"latent": empty(size=64), "steps": 1}
EVERY_TIME = {"start_percent": 0.0, "end_percent": 1.0}
MODEL_NODES: list[tuple[str, dict, dict]] = [
    (".LoraLoaderModelOnly", {"lora_name": "lora.safetensors", "strength_model": 0.8}, {}),
    ("lora_debug.LoraLoaderBypassModelOnly",
     {"lora_name": "lora.safetensors", "strength_model": 0.8}, {}),
    ("freelunch.FreeU", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}, {}),
    ("freelunch.FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}, {}),
    ("perpneg.PerpNeg", {"empty_conditioning": text(4), "neg_scale": 1.0}, {}),
    ("model_advanced.RescaleCFG", {"multiplier": 0.7}, {}),
    ("model_advanced.ModelSamplingDiscrete", {"sampling": "v_prediction", "zsnr": True}, {}),
    ("model_advanced.ModelSamplingDiscrete", {"sampling": "lcm", "zsnr": False},
     {"sampler": "lcm"}),
    ("model_advanced.ModelSamplingContinuousEDM",
     {"sampling": "eps", "sigma_max": 120.0, "sigma_min": 0.002}, {}),
    ("model_advanced.ModelComputeDtype", {"dtype": "bf16"}, {}),
    ("model_advanced.ModelAttentionBackend", {"attention": "pytorch attention"}, {}),
    ("sag.SelfAttentionGuidance", {"scale": 0.5, "blur_sigma": 2.0}, {}),
    ("pag.PerturbedAttentionGuidance", {"scale": 3.0}, {}),
    ("slg.SkipLayerGuidanceDiT",
     {"scale": 3.0, "double_layers": "1", "single_layers": "1", **EVERY_TIME}, {}),
    ("hypertile.HyperTile",
     {"tile_size": 256, "swap_size": 2, "max_depth": 0, "scale_depth": False}, TILED),
    ("model_downscale.PatchModelAddDownscale",
     {"block_number": 1, "downscale_factor": 2.0, "downscale_after_skip": True,
      "downscale_method": "bicubic", "upscale_method": "bicubic", **EVERY_TIME}, {}),
    ("tomesd.TomePatchModel", {"ratio": 0.9}, {"latent": empty(size=16)}),
    ("attention_multiply.UNetSelfAttentionMultiply", {"q": 1.1, "k": 0.8, "v": 1.2, "out": 0.9},
     {}),
    ("attention_multiply.UNetCrossAttentionMultiply", {"q": 1.1, "k": 0.8, "v": 1.2, "out": 0.9},
     {}),
    ("attention_multiply.UNetTemporalAttentionMultiply",
     {"self_structural": 0.9, "self_temporal": 1.0, "cross_structural": 1.1,
      "cross_temporal": 1.0}, {}),
    ("differential_diffusion.DifferentialDiffusion", {}, SOFT),
    ("cfg.CFGZeroStar", {}, {}),
    ("cfg.CFGNorm", {"strength": 1.0}, {}),
    ("apg.APG", {"eta": 0.5, "norm_threshold": 5.0, "momentum": -0.5}, {}),
    ("tcfg.TCFG", {}, {}),
    ("mahiro.Mahiro", {}, {}),
    ("eps.EpsilonScaling", {"scaling_factor": 1.01}, {}),
    ("fresca.FreSca", {"scale_low": 1.0, "scale_high": 1.25, "freq_cutoff": 2}, {}),
    ("nag.NAGuidance", {"nag_scale": 5.0, "nag_alpha": 0.5, "nag_tau": 1.5}, {}),
    ("easycache.EasyCacheNode", {"reuse_threshold": 0.2, "verbose": False, **EVERY_TIME},
     {"steps": 6}),
    ("easycache.LazyCacheNode", {"reuse_threshold": 0.2, "verbose": False, **EVERY_TIME},
     {"steps": 6}),
    ("context_windows.ContextWindowsManualNode",
     {"context_length": 6, "context_overlap": 2, "context_schedule": "standard_static",
      "context_stride": 1, "closed_loop": False, "fuse_method": "pyramid", "dim": 2,
      "freenoise": False}, {}),
]  # fmt: skip


def around(place: str, inputs: dict, drawing: dict) -> list[Row]:
    name = f"{place.rpartition('.')[2]} {inputs.get('sampling', '')}".strip()

    def before(world: World) -> torch.Tensor:
        return world.draw(world.apply(world.node(place, world.model(), **inputs)), **drawing)

    def after(world: World) -> torch.Tensor:
        return world.draw(world.node(place, world.apply(world.model()), **inputs), **drawing)

    # a hook does not care when it came, but a bypass injects into modules that a copy has not
    return [Row(f"{name} before Apply", before, after), Row(f"{name} after Apply", after)]


# Several networks, and strengths


def halves(strength_first: float, strength_second: float) -> Callable[[World], torch.Tensor]:
    """Two branches of one graph: the second goes on with the first one's picture."""

    def chain(world: World) -> torch.Tensor:
        model = world.model()
        first = world.draw(world.apply(model, strength_first))
        again = {"latent": {"samples": first}, "denoise": 0.5}
        return world.draw(world.apply(model, strength_second), **again)

    return chain


def cores_loader(world: World, model, strength: float = 0.6):
    named = {"hypernetwork_name": "first.pt", "strength": strength}
    return world.node("hypernetwork.HypernetworkLoader", model, **named)


STRENGTHS = [
    Row("one network", lambda w: w.draw(w.apply(w.model()))),
    Row("a network with layers in between", lambda w: w.draw(w.apply(w.model(), 0.7, "second"))),
    Row("a negative strength", lambda w: w.draw(w.apply(w.model(), -0.4))),
    Row("keys alone", lambda w: w.draw(w.apply(w.model(), strength_v=0.0))),
    Row("values alone", lambda w: w.draw(w.apply(w.model(), strength_k=0.0))),
    Row(
        "two networks, one after the other",
        lambda w: w.draw(w.apply(w.apply(w.model()), 0.5, "second")),
    ),
    Row("one network twice", lambda w: w.draw(w.apply(w.apply(w.model(), 0.3), 0.4))),
    Row("two strengths in two branches", halves(0.9, -0.3)),
    Row(
        "core's loader after Apply",
        lambda w: w.draw(cores_loader(w, w.apply(w.model(), 0.5, "second"))),
        lambda w: w.draw(w.apply(w.apply(w.model(), 0.5, "second"), 0.6)),
    ),
    Row(
        "core's loader before Apply",
        lambda w: w.draw(w.apply(cores_loader(w, w.model()), 0.5, "second")),
        lambda w: w.draw(w.apply(w.apply(w.model(), 0.6), 0.5, "second")),
    ),
]

# Types of weights

HALF, BRAIN, EIGHT = torch.float16, torch.bfloat16, torch.float8_e4m3fn
TYPES = [
    Row(
        f"weights in {weights}, arithmetic in {arithmetic}".replace("torch.", ""),
        lambda w, types=(weights, arithmetic): w.draw(w.apply(w.model(*types))),
    )
    for weights, arithmetic in (
        (HALF, torch.float32),
        (BRAIN, BRAIN),
        (EIGHT, BRAIN),
        (EIGHT, torch.float32),
    )
]

# Several models

MERGES: list[tuple[str, dict]] = [
    ("ModelMergeSimple", {"ratio": 0.6}),
    ("ModelMergeBlocks", {"input": 0.3, "middle": 0.6, "out": 0.8}),
    ("ModelAdd", {}),
    ("ModelSubtract", {"multiplier": 0.2}),
]


def merged(place: str, inputs: dict) -> list[Row]:
    def merge(world: World, first, second) -> torch.Tensor:
        return world.draw(world.node(f"model_merging.{place}", first, second, **inputs))

    return [
        Row(
            f"{place}, on the first model",
            lambda w: merge(w, w.apply(w.model()), w.model(other=True)),
        ),
        Row(
            f"{place}, on the second model: lost",
            lambda w: merge(w, w.model(), w.apply(w.model(other=True))),
            acts=False,
        ),
        Row(f"{place} before Apply", lambda w: w.draw(w.apply(w.node(
            f"model_merging.{place}", w.model(), w.model(other=True), **inputs)))),
    ]  # fmt: skip


FOLDED = [
    Row(
        "Fold instead of Apply",
        lambda w: w.draw(w.fold(w.model())),
        tolerance=1e-3,
        reason="float32 products in another order",
    ),
    Row(
        "ModelMergeSimple, folded into the second model: there",
        lambda w: w.draw(
            w.node("model_merging.ModelMergeSimple", w.model(), w.fold(w.model(other=True)), 0.0)
        ),
        lambda w: w.draw(w.fold(w.model(other=True))),
        tolerance=1e-3,
        reason="float32 products in another order",
    ),
]

# Conditionings


def in_area(world: World, conditioning: list, x: int):
    return world.node(".ConditioningSetArea", conditioning, 32, 64, x, 0, 1.0)


def both(world: World, one: list, other: list) -> list:
    return world.node(".ConditioningCombine", one, other)


def controlled(world: World) -> tuple:
    """Both prompts with a ControlNet of the UNet's shape."""
    import comfy.ops
    from comfy.cldm.cldm import ControlNet as Network
    from comfy.controlnet import ControlNet

    network = Network(
        image_size=32, in_channels=4, model_channels=32, hint_channels=3, num_res_blocks=[1, 1],
        channel_mult=(1, 2), transformer_depth=[1, 1], transformer_depth_middle=1,
        use_spatial_transformer=True, context_dim=TEXT, num_heads=2, legacy=False,
        dtype=torch.float32, operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    chance = torch.Generator().manual_seed(13)
    for weight in network.parameters():
        weight.copy_(torch.randn(weight.shape, generator=chance) * 0.1)
    control = ControlNet(network, load_device=torch.device("cpu"))
    hint = torch.rand(1, 64, 64, 3, generator=chance)
    inputs = (text(1), text(2), control, hint, 0.8, 0.0, 1.0)
    return world.outputs(".ControlNetApplyAdvanced", *inputs)


def hooked(world: World, conditioning: list) -> list:
    """A LoRA on one prompt, whose strength changes on the way."""
    frame = world.node("hooks.CreateHookKeyframe", 0.5, 0.4)
    hook = world.node("hooks.CreateHookLoraModelOnly", "lora.safetensors", 0.9)
    hook = world.node("hooks.SetHookKeyframes", hook, frame)
    return world.node("hooks.SetModelHooksOnCond", conditioning, hook)


def with_properties(world: World) -> list:
    hook = world.node("hooks.CreateHookLoraModelOnly", "lora.safetensors", 0.9)
    times = world.node("hooks.ConditioningTimestepsRange", 0.4, 1.0)
    inputs = {"strength": 0.8, "set_cond_area": "default", "mask": half_mask(64)}
    return world.outputs(
        "hooks.PairConditioningSetProperties", text(1), text(2), hooks=hook, timesteps=times,
        **inputs,
    )  # fmt: skip


CONDITIONINGS: list[tuple[str, Callable[[World], tuple]]] = [
    ("prompts of two lengths", lambda w: (long_text(), text(2))),
    ("Concat", lambda w: (w.node(".ConditioningConcat", text(1), text(3)), text(2))),
    ("Average", lambda w: (w.node(".ConditioningAverage", text(1), text(3), 0.4), text(2))),
    ("Combine", lambda w: (both(w, text(1), long_text()), text(2))),
    ("SetArea on two", lambda w: (
        both(w, in_area(w, text(1), 0), in_area(w, long_text(), 32)), text(2))),
    ("SetAreaPercentage", lambda w: (both(w, text(3), w.node(
        ".ConditioningSetAreaPercentage", text(1), 0.5, 1.0, 0.5, 0.0, 0.7)), text(2))),
    ("SetMask", lambda w: (both(w, text(3), w.node(
        ".ConditioningSetMask", text(1), half_mask(64), "default", 1.0)), text(2))),
    ("SetMask on its bounds", lambda w: (both(w, text(3), w.node(
        ".ConditioningSetMask", text(1), half_mask(64), "mask bounds", 1.0)), text(2))),
    ("SetTimestepRange", lambda w: (both(
        w, w.node(".ConditioningSetTimestepRange", text(1), 0.0, 0.5),
        w.node(".ConditioningSetTimestepRange", long_text(), 0.5, 1.0)), text(2))),
    ("ZeroOut", lambda w: (text(1), w.node(".ConditioningZeroOut", text(2)))),
    ("ControlNetApplyAdvanced", controlled),
    ("Create Hook LoRA on one prompt", lambda w: (hooked(w, text(1)), text(2))),
    ("Create Hook LoRA on one of two regions", lambda w: (
        both(w, hooked(w, in_area(w, text(1), 0)), in_area(w, text(3), 32)), text(2))),
    ("PairConditioningSetProperties", with_properties),
]  # fmt: skip

# Samplers


def split(world: World) -> torch.Tensor:
    """Two advanced samplers, with a network each."""
    model = world.model()
    shared = (1, 4, CFG, "euler", "normal", text(1), text(2))
    first = world.node(
        ".KSamplerAdvanced", world.apply(model, 0.9), "enable", *shared, empty(), 0, 2, "enable"
    )
    second = world.apply(model, 0.5, "second")
    return world.node(".KSamplerAdvanced", second, "disable", *shared, first, 2, 10000, "disable")[
        "samples"
    ]


def advanced(make_guider: Callable[[World], object]) -> Callable[[World], torch.Tensor]:
    def chain(world: World) -> torch.Tensor:
        noise = world.node("custom_sampler.RandomNoise", 1)
        sampler = world.node("custom_sampler.KSamplerSelect", "dpmpp_2m")
        sigmas = world.node("custom_sampler.KarrasScheduler", 4, 14.6, 0.03, 7.0)
        guider = make_guider(world)
        return world.node(
            "custom_sampler.SamplerCustomAdvanced", noise, guider, sampler, sigmas, empty()
        )["samples"]

    return chain


def custom(world: World) -> torch.Tensor:
    model = world.apply(world.model())
    sampler = world.node("custom_sampler.KSamplerSelect", "heun")
    sigmas = world.node("custom_sampler.BasicScheduler", model, "karras", 3, 1.0)
    inputs = (model, True, 1, CFG, text(1), text(2), sampler, sigmas, empty())
    return world.node("custom_sampler.SamplerCustom", *inputs)["samples"]


def guided(kind: str, *inputs) -> Callable[[World], torch.Tensor]:
    return advanced(lambda w: w.node(kind, w.apply(w.model()), *inputs))


def two_models(strength: float, negative: float) -> Callable[[World], torch.Tensor]:
    def guider(world: World):
        model = world.model()
        inputs = {"positive": text(1), "negative": text(2), "cfg": CFG}
        return world.node(
            "custom_sampler.DualModelGuider",
            world.apply(model, strength),
            model_negative=world.apply(model, negative),
            **inputs,
        )

    return advanced(guider)


SAMPLERS = [
    *(
        Row(
            f"KSampler {sampler}, {scheduler}",
            lambda w, ways=(sampler, scheduler): w.draw(
                w.apply(w.model()), sampler=ways[0], scheduler=ways[1]
            ),
        )
        for sampler, scheduler in (
            ("euler_ancestral", "normal"),
            ("dpmpp_2m", "karras"),
            ("uni_pc", "simple"),
            ("ddim", "ddim_uniform"),
            ("lcm", "sgm_uniform"),
        )
    ),
    Row("KSampler without guidance", lambda w: w.draw(w.apply(w.model()), cfg=1.0)),
    Row(
        "KSampler on a picture",
        lambda w: w.draw(w.apply(w.model()), latent=picture(), denoise=0.6, steps=5),
    ),
    Row("a batch of three", lambda w: w.draw(w.apply(w.model()), latent=empty(3))),
    Row(
        "SetLatentNoiseMask",
        lambda w: w.draw(
            w.apply(w.model()), latent=w.node(".SetLatentNoiseMask", picture(), half_mask(64))
        ),
    ),
    Row("KSamplerAdvanced in two parts, a network each", split),
    Row("SamplerCustom", custom),
    Row("SamplerCustomAdvanced, BasicGuider", guided("custom_sampler.BasicGuider", text(1))),
    Row(
        "SamplerCustomAdvanced, CFGGuider",
        guided("custom_sampler.CFGGuider", text(1), text(2), CFG),
    ),
    Row(
        "SamplerCustomAdvanced, DualCFGGuider",
        guided("custom_sampler.DualCFGGuider", text(1), text(3), text(2), 4.0, 2.0, "regular"),
    ),
    Row(
        "SamplerCustomAdvanced, PerpNegGuider",
        guided("perpneg.PerpNegGuider", text(1), text(2), text(4), CFG, 1.0),
    ),
    Row(
        "SamplerCustomAdvanced, DualModelGuider: the strength of `model` on both",
        two_models(0.9, 0.2),
        two_models(0.9, 0.9),
    ),
]

ROWS = [
    *STRENGTHS,
    *TYPES,
    *(row for node in MODEL_NODES for row in around(*node)),
    *(row for merge in MERGES for row in merged(*merge)),
    *FOLDED,
    *(
        Row(name, lambda w, prompts=prompts: w.draw(w.apply(w.model()), *prompts(w)))
        for name, prompts in CONDITIONINGS
    ),
    *SAMPLERS,
]

if __name__ == "__main__":
    main()
