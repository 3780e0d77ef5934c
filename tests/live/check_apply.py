"""Apply Hypernet on a tiny Stable Diffusion in ComfyUI's own process; see check_host.py.

python check_apply.py COMFYUI_DIR REPOSITORY [NAMES OF CHECKS]
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F

TEXT = 24
WIDTHS = (TEXT, 32, 64)
STEPS, STRENGTH = 3, 0.7
BOTH = ("exact", "as the model")
CORES_ACTIVATIONS = (
    "linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid", "softsign",
    "mish",
)  # fmt: skip
BLOCKS = 7
TYPES = [  # of the UNet's weights, of its arithmetic if that is another
    (torch.float32, None),
    (torch.float16, torch.float32),
    (torch.bfloat16, None),
    (torch.float8_e4m3fn, torch.bfloat16),
    (torch.float8_e4m3fn, torch.float32),
]


def main() -> None:
    comfyui, repository, *names = sys.argv[1:]
    pack = start(comfyui, repository)
    with torch.inference_mode():
        for check in CHECKS:
            if names and check.__name__ not in names:
                continue
            check(pack)
            print(check.__name__)


def start(comfyui: str, repository: str, **flags: object) -> Pack:
    """ComfyUI with these command-line flags, on the CPU, and the pack in it."""
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    vars(args).update(flags, cpu=True)
    import folder_paths  # noqa: F401  the pack asks whether the host has loaded it

    return Pack(Path(repository))


class Pack:
    def __init__(self, repository: Path):
        spec = importlib.util.spec_from_file_location(
            "pack", repository / "__init__.py", submodule_search_locations=[str(repository)]
        )
        sys.modules["pack"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["pack"])
        self.compat = importlib.import_module("pack.compat")
        self.apply = importlib.import_module("pack.nodes.use.apply").ApplyHypernet.execute
        self.hook = importlib.import_module("pack.nodes.use.create_hook").CreateHookHypernet.execute
        self.fold = importlib.import_module("pack.nodes.use.fold").FoldHypernet.execute
        self.attention = importlib.import_module("hypernet.apply.patches")
        self.library = importlib.import_module("hypernet")

    def network(self, **settings):
        spec = {"widths": WIDTHS, "activation": "relu", "weight_initialization": "XavierNormal"}
        return self.library.Hypernetwork(self.library.HypernetSpec(**spec | settings))


def tiny_model(weights: torch.dtype = torch.float32, arithmetic: torch.dtype | None = None):
    import comfy.model_management as management
    from comfy.model_patcher import CoreModelPatcher
    from comfy.supported_models import SD15

    config = SD15(
        {
            "image_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "model_channels": 32,
            "num_res_blocks": [1, 1],
            "channel_mult": [1, 2],
            "transformer_depth": [1, 1],
            "transformer_depth_output": [1, 1, 1, 1],
            "transformer_depth_middle": 1,
            "use_spatial_transformer": True,
            "context_dim": TEXT,
            "num_heads": 2,
            "legacy": False,
            "adm_in_channels": None,
            "use_temporal_attention": False,
        }
    )
    config.set_inference_dtype(weights, arithmetic)
    model = config.get_model({}, "", device="cpu")
    chance = torch.Generator().manual_seed(0)
    for weight in model.diffusion_model.parameters():
        weight.copy_((torch.randn(weight.shape, generator=chance) * 0.1).to(weight.dtype))
    return CoreModelPatcher(model, management.get_torch_device(), torch.device("cpu"))


def text(seed: int) -> list:
    return [[torch.randn(1, 7, TEXT, generator=torch.Generator().manual_seed(seed)), {}]]


def sampled(model, positive: list | None = None) -> torch.Tensor:
    import comfy.sample

    empty = torch.zeros(1, 4, 8, 8)
    noise = comfy.sample.prepare_noise(empty, 1)
    settings = (STEPS, 4.0, "euler", "normal", positive or text(1), text(2), empty)
    return comfy.sample.sample(model, noise, *settings, disable_pbar=True, seed=1)


def patches_of(model) -> tuple:
    patches = model.model_options["transformer_options"]["patches"]
    return patches["attn1_patch"][0], patches["attn2_patch"][0]


RIGHT_IN_CORE = [
    *({"activation": name} for name in CORES_ACTIVATIONS),
    {"activation": "swish", "layer_structure": (1, 2, 4, 2, 1)},
    {"activation": "relu", "activate_output": True},
    {"activation": "linear", "layer_norm": True},
]
WRONG_IN_CORE = [
    {"activation": "relu", "layer_structure": (1, 2, 2, 1), "dropout_structure": (0, 0.3, 0.3, 0)},
    {"activation": "swish", "layer_norm": True},
    {"activation": "gelu"},
    {"activation": "relu", "without": "activate_output"},
]


def the_picture_is_that_of_cores_loader_where_core_is_right(pack):
    model = tiny_model()
    for settings in RIGHT_IN_CORE:
        with a_file(pack, **settings) as file:
            ours, cores, _ = three_pictures(pack, model, file)
        assert (ours - sampled(model)).abs().max() > 1e-2, settings
        assert (ours - cores).abs().max() == 0, settings


def as_the_model_the_network_computes_in_the_dtype_of_the_models_arithmetic(pack):
    for weights, arithmetic in TYPES:
        model, network = tiny_model(weights, arithmetic), pack.network()
        exact, short = (pack.apply(model, network, STRENGTH, precision=each)[0] for each in BOTH)
        expected = arithmetic or weights
        assert {w.dtype for w in patches_of(short)[0].weights.home.parameters()} == {expected}
        ours, others = sampled(short), sampled(exact)
        assert ours.isfinite().all()
        assert ours.equal(others) == (expected == torch.float32), weights


def the_picture_is_that_of_the_formula_where_core_is_wrong(pack):
    model = tiny_model()
    for settings in WRONG_IN_CORE:
        with a_file(pack, **settings) as file:
            ours, cores, formulas = three_pictures(pack, model, file)
        assert (ours - formulas).abs().max() < 1e-5, settings
        assert (ours - cores).abs().max() > 1e-3, settings


@contextmanager
def a_file(pack, without: str = "", **settings):
    """A1111's kind of file for the tiny model; `without` names a field that old files lack."""
    with tempfile.TemporaryDirectory() as folder:
        file = pack.library.save_network(pack.network(**settings), Path(folder) / "net.pt")
        content = torch.load(file, weights_only=True)
        content.pop(without, None)
        torch.save(content, file)
        yield file


def three_pictures(pack, model, file: Path) -> list[torch.Tensor]:
    """By our node, by core's loader, and by A1111's arithmetic on the file's own numbers."""
    from comfy_extras.nodes_hypernetwork import load_hypernetwork_patch

    cores = load_hypernetwork_patch(str(file), STRENGTH)
    formula = arithmetic_of(torch.load(file, weights_only=True))
    found = [sampled(pack.apply(model, pack.library.open_network(file), STRENGTH)[0])]
    for patch in (cores, formula):
        patched = model.clone()
        if patch:  # core gives none for what it does not know
            patched.set_model_attn1_patch(patch)
            patched.set_model_attn2_patch(patch)
        found.append(sampled(patched))
    return found


def arithmetic_of(content: dict):
    """The patch that a file describes."""

    def patch(n, context, value, extra_options):
        keys, values = content[context.shape[-1]]
        added = residual(content, keys, context), residual(content, values, value)
        return n, context + STRENGTH * added[0], value + STRENGTH * added[1]

    return patch


def residual(content: dict, state: dict, x: torch.Tensor) -> torch.Tensor:
    """What a file's network adds to x: Linear, activation, layer norm, from slot to slot."""
    functions = {"relu": F.relu, "swish": F.hardswish, "gelu": F.gelu}
    function = functions.get(content["activation_func"], lambda x: x)
    count, on_output = len(content["layer_structure"]) - 1, content.get("activate_output", True)
    linears = 0
    for slot in sorted({int(name.split(".")[1]) for name in state}):
        weight, bias = (state[f"linear.{slot}.{kind}"] for kind in ("weight", "bias"))
        if weight.ndim == 1:
            x = F.layer_norm(x, weight.shape, weight, bias)
            continue
        x, linears = F.linear(x, weight, bias), linears + 1
        x = function(x) if linears < count or on_output else x
    return x


def every_type_of_weights_works_and_ours_are_never_cast(pack):
    network = pack.network()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    for weights, arithmetic in TYPES:
        model = tiny_model(weights, arithmetic)
        patched = pack.apply(model, network, 1.0)[0]
        found = sampled(patched)
        assert found.isfinite().all(), weights
        assert (found - sampled(model)).abs().max() > 1e-2, weights
        assert sampled(patched).equal(found), weights
    for name, weight in network.state_dict().items():
        assert weight.dtype == torch.float32 and weight.equal(before[name]), name


def the_weights_are_counted_and_unloading_does_no_harm(pack):
    import comfy.model_management as management

    network = pack.network()
    patched = pack.apply(tiny_model(), network, 1.0)[0]
    (counted,) = set(patched.model_patches_models())
    assert counted.model_size() == 4 * network.spec.parameters
    first = sampled(patched)
    assert any(loaded.model is counted for loaded in management.current_loaded_models)
    management.unload_all_models()
    assert sampled(patched).equal(first)


def the_text_is_transformed_once_in_a_run(pack):
    _, patch = patches_of(patched := pack.apply(tiny_model(), pack.network(), 1.0)[0])
    times = []
    mlp = patch.weights.home.network.pairs[str(TEXT)]["k"]
    mlp.register_forward_hook(lambda *_: times.append(1))
    sampled(patched)
    assert len(times) == 1, times
    assert not patch._memo._entries, "the end of the run clears it"


def the_text_tells_when_it_is_written_to(pack):
    """On an accelerator nothing else lets the memo trust it; all blocks see one tensor."""
    for weights, arithmetic in TYPES:
        seen = []

        def watch(n, context, value, extra_options, seen=seen):
            seen.append((context, extra_options["sigmas"]))
            return n, context, value

        patched = pack.apply(tiny_model(weights, arithmetic), pack.network(), 1.0)[0]
        patched.model_options["transformer_options"]["patches"]["attn2_patch"].insert(0, watch)
        sampled(patched)
        assert len(seen) == BLOCKS * STEPS
        assert not any(tensor.is_inference() for pair in seen for tensor in pair), weights
        assert len({id(context) for context, _ in seen}) == STEPS, weights


def an_interrupted_run_leaves_nothing_behind(pack):
    import comfy.model_management as management

    calls = []

    def stop(n, context, value, extra_options):
        calls.append(1)
        if len(calls) == BLOCKS + 2:
            raise management.InterruptProcessingException
        return n, context, value

    patched = pack.apply(tiny_model(), pack.network(), 1.0)[0]
    expected = sampled(patched)
    stopping = patched.clone()
    stopping.set_model_attn2_patch(stop)
    try:
        sampled(stopping)
        raise AssertionError("it was not stopped")
    except management.InterruptProcessingException:
        pass
    assert not patches_of(patched)[1]._memo._entries
    assert sampled(patched).equal(expected)


def a_compiled_model_gives_the_same_picture_with_no_more_breaks(pack):
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from torch._dynamo.utils import counters

    model = tiny_model()
    patched = pack.apply(model, pack.network(), 1.0)[0]
    expected, breaks = sampled(patched), []
    for kind in (model, patched):
        compiled = kind.clone()
        set_torch_compile_wrapper(model=compiled, backend="eager")
        torch._dynamo.reset()
        counters.clear()
        found = sampled(compiled)
        breaks.append(sum(counters["graph_break"].values()))
    torch.testing.assert_close(found, expected)
    assert breaks[0] == breaks[1], breaks


def folding_is_as_exact_as_the_type_of_the_weights(pack):
    network = pack.network(activation="linear")
    for weights, arithmetic in TYPES:
        model = tiny_model(weights, arithmetic)
        applied = sampled(pack.apply(model, network, 1.0)[0])
        folded = pack.fold(model, network, 1.0)
        error = float((sampled(folded[0]) - applied).norm() / applied.norm())
        assert error < {torch.float32: 1e-5, torch.float16: 1e-4}.get(weights, 1e-2), weights
        eight_bits = weights == torch.float8_e4m3fn
        assert ("8 bits" in str(folded.ui and folded.ui.as_dict())) == eight_bits, weights


def regions_and_hooks_get_what_a_patch_without_memory_gives(pack):
    """Texts of several lengths, halves in calls of their own, a hook that changes one of them."""
    import comfy.hooks

    heard = []

    def louder(n, context, value, extra_options):
        heard.append(len(context))
        return n, context * 1.5, value * 1.5

    hook = comfy.hooks.HookGroup()
    patches, alone = {"patches": {"attn2_patch": [louder]}}, comfy.hooks.EnumHookScope.HookedOnly
    hook.add(comfy.hooks.TransformerOptionsHook(patches, alone))
    long = torch.randn(1, 14, TEXT, generator=torch.Generator().manual_seed(3))
    left, right = {"area": (8, 4, 0, 0), "strength": 1.0}, {"area": (8, 4, 0, 4), "strength": 1.0}
    for positive in (
        [[text(1)[0][0], left], [long, right]],
        [[text(1)[0][0], {"hooks": hook}], [text(3)[0][0], {}]],
        [[text(1)[0][0], {"start_percent": 0.0, "end_percent": 0.5}], [long, {}]],
    ):
        patched = pack.apply(tiny_model(), pack.network(), 1.0)[0]
        found = sampled(patched, positive)
        patches_of(patched)[1]._memo = None
        assert sampled(patched, positive).equal(found)
        assert (found - sampled(tiny_model(), positive)).abs().max() > 1e-2
    assert heard and set(heard) == {1}, "the hook belongs to one text alone"


STABLE_DIFFUSIONS = [  # what its UNet is made of, its widths, where a network of SD 1 acts
    (
        {"context_dim": 1024, "channel_mult": [1, 2, 4, 4], "num_res_blocks": [2, 2, 2, 2]},
        [1, 1, 1, 1, 1, 1, 0, 0],
        (320, 640, 1024, 1280),
        "Only 320, 640, 1280 can act, 768 cannot",
    ),
    (
        {"context_dim": 2048, "channel_mult": [1, 2, 4], "num_res_blocks": [2, 2, 2]},
        [0, 0, 2, 2, 10, 10],
        (640, 1280, 2048),
        "Only 640, 1280 can act, 320, 768 cannot",
    ),
]


def a_network_of_stable_diffusion_1_warns_with_both_lists_on_2_and_xl(pack):
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    for shape, depths, widths, words in STABLE_DIFFUSIONS:
        carrier = tiny_model()
        unet = UNetModel(
            image_size=32, in_channels=4, out_channels=4, model_channels=320,
            transformer_depth=list(depths),
            transformer_depth_output=[d for d in depths[::2] for _ in range(3)],
            transformer_depth_middle=depths[-1] or 1, use_spatial_transformer=True,
            use_linear_in_transformer=True, num_head_channels=64, legacy=False, device="meta",
            dtype=torch.float16, operations=comfy.ops.disable_weight_init, **shape,
        )  # fmt: skip
        carrier.add_object_patch("diffusion_model", unet)
        found = pack.compat.attention_widths(carrier)
        assert tuple(sorted({w for kind in found.values() for w in kind})) == widths, found
        sd1 = pack.network(widths=(320, 640, 768, 1280), layer_structure=(1, 1))
        warning = pack.apply(carrier, sd1, 1.0).ui.as_dict()["text"][0]
        for part in ("320, 640, 768, 1280", ", ".join(map(str, widths)), words):
            assert part in warning, warning
        own = pack.network(widths=widths, layer_structure=(1, 1))
        assert pack.apply(carrier, own, 1.0).ui is None


def models_of_other_architectures_are_refused_by_name(pack):
    import comfy.ops
    from comfy.ldm.flux.model import Flux
    from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
    from comfy.ldm.wan.model import WanModel

    on = {"device": "meta", "dtype": torch.float16, "operations": comfy.ops.disable_weight_init}
    flux = {
        "in_channels": 4, "out_channels": 4, "vec_in_dim": 8, "context_in_dim": 8,
        "hidden_size": 32, "mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 1,
        "axes_dim": [4, 6, 6], "theta": 100, "patch_size": 2, "qkv_bias": True,
        "guidance_embed": False, "txt_ids_dims": [],
    }  # fmt: skip
    for unet, name in (
        (Flux(**flux, **on), "flux"),
        (OpenAISignatureMMDITWrapper(depth=1, **on), "sd3"),
        (WanModel(dim=32, ffn_dim=64, num_heads=2, num_layers=1, **on), "wan"),
        (torch.nn.Linear(32, 32), "torch.nn.modules.linear.Linear"),
    ):
        carrier = tiny_model()
        carrier.add_object_patch("diffusion_model", unet)
        try:
            pack.apply(carrier, pack.network(), 1.0)
            raise AssertionError(f"{type(unet).__name__} was not refused")
        except ValueError as refusal:
            assert name in str(refusal), refusal


def a_hook_of_a_network_acts_on_its_text_alone_and_at_its_keyframes(pack):
    import comfy.hooks

    network = pack.network()

    def drawn(strength: float, factor: float = 1.0, model=None):
        (hooks,) = pack.hook(network, strength)
        frames = comfy.hooks.HookKeyframeGroup()
        frames.add(comfy.hooks.HookKeyframe(factor, 0.0, 1))
        hooks.set_keyframes_on_hooks(frames)
        hooked = comfy.hooks.set_hooks_for_conditioning(text(1), hooks)
        return sampled(model or tiny_model(), hooked)

    asked = pack.apply(tiny_model(), network, STRENGTH, applies_to="positive")[0]
    found, bare, right = drawn(STRENGTH), sampled(tiny_model()), sampled(asked)
    assert (right - bare).abs().max() > 1e-3
    # core calls the UNet for each text apart if one has hooks, so sums are in another order
    near = 1e-4 * max(1, bare.abs().max())
    twice = pack.apply(asked, network, STRENGTH, applies_to="positive")[0]
    for one, other in (
        (found, right),
        (drawn(STRENGTH, factor=0.0), bare),
        (drawn(STRENGTH, model=asked), sampled(twice)),
    ):
        assert (one - other).abs().max() < near, ((one - other).abs().max(), near)
    assert drawn(2 * STRENGTH, factor=0.5).equal(found)
    other = pack.network(widths=(999,))
    hooked = comfy.hooks.set_hooks_for_conditioning(text(1), pack.hook(other, 1.0)[0])
    try:
        sampled(tiny_model(), hooked)
        raise AssertionError("a network of another width was not refused")
    except ValueError as refusal:
        assert "999" in str(refusal)


CHECKS = [
    the_picture_is_that_of_cores_loader_where_core_is_right,
    as_the_model_the_network_computes_in_the_dtype_of_the_models_arithmetic,
    the_picture_is_that_of_the_formula_where_core_is_wrong,
    every_type_of_weights_works_and_ours_are_never_cast,
    the_weights_are_counted_and_unloading_does_no_harm,
    the_text_is_transformed_once_in_a_run,
    the_text_tells_when_it_is_written_to,
    an_interrupted_run_leaves_nothing_behind,
    regions_and_hooks_get_what_a_patch_without_memory_gives,
    a_hook_of_a_network_acts_on_its_text_alone_and_at_its_keyframes,
    folding_is_as_exact_as_the_type_of_the_weights,
    a_network_of_stable_diffusion_1_warns_with_both_lists_on_2_and_xl,
    models_of_other_architectures_are_refused_by_name,
    a_compiled_model_gives_the_same_picture_with_no_more_breaks,
]

if __name__ == "__main__":
    main()
