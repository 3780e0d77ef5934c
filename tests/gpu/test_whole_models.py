"""Training and applying on whole small models: the card does what the CPU does, and tidies up.

The same tests run on the CPU, where they can. With the mark `gpu`, and skipped where torch sees no
card, are those that need one.
"""

import gc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("diffusers")
import tiny_models
from diffusers import UNet2DConditionModel

import hypernet.diffusers as scripts
from hypernet import HypernetSpec, Hypernetwork
from hypernet.training.recording import COMPUTED
from hypernet.training.settings import TrainSettings

CPU = torch.device("cpu")
CARD = torch.device("cuda", 0) if torch.cuda.is_available() else None
WIDTHS = (24, 32, 64)
SCHEDULER = SimpleNamespace(
    alphas_cumprod=torch.linspace(0.999, 0.005, 1000),
    config=SimpleNamespace(prediction_type="epsilon"),
)


def on_card(device):
    missing = pytest.mark.skipif(CARD is None, reason="needs CUDA: torch sees no card")
    return pytest.param(device, marks=[pytest.mark.gpu, missing], id="card")


DEVICES = pytest.mark.parametrize("device", [pytest.param(CPU, id="cpu"), on_card(CARD)])
CARDS = pytest.mark.parametrize("device", [on_card(CARD)])


def unet(blocks=("CrossAttnDownBlock2D", "DownBlock2D")):
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), norm_num_groups=8, layers_per_block=1,
        cross_attention_dim=24, attention_head_dim=8, down_block_types=blocks,
        up_block_types=tuple(each.replace("Down", "Up") for each in reversed(blocks)),
    ).eval()  # fmt: skip


def batches(number=4, side=8):
    chance = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(1, 4, side, side, generator=chance),
            {"context": torch.randn(1, 7, 24, generator=chance)},
        )
        for _ in range(number)
    ]


def trained(device, model=None, steps=5, items=None, **how):
    """The losses, what was said, and the network."""
    settings = dict(learning_rate="1e-3", batch_size=2, seed=3, probe_every=0) | how
    spec = HypernetSpec(widths=(24, 32), activation="relu", weight_initialization="XavierNormal")
    training = scripts.train(
        model or unet(), items or batches(), spec, TrainSettings(steps=steps, **settings),
        scheduler=SCHEDULER, device=device,
    )  # fmt: skip
    done = list(training)
    return [each.loss for each in done], [n for each in done for n in each.notes], training.network


@DEVICES
@pytest.mark.parametrize(
    ("how", "apart"),
    [
        ({}, 1e-3),
        ({"unet_dtype": "float16"}, 0.02),
        ({"unet_dtype": "bfloat16"}, 0.05),
        ({"unet_dtype": "int8"}, 0.02),
        ({"offload": True}, 1e-3),
        ({"checkpointing": "on"}, 1e-3),
        ({"unet_dtype": "int8", "offload": True}, 0.02),
        ({"cuda_graphs": True}, 1e-3),
    ],
    ids=str,
)
def test_losses_are_those_of_the_cpu_in_float32(device, how, apart):
    expected, *_ = trained(CPU, steps=8)
    found, *_ = trained(device, steps=8, **how)
    assert found == pytest.approx(expected, rel=apart)


@DEVICES
@pytest.mark.parametrize("dtype", ["its own", "float16", "int8"])
def test_replayed_updates_are_computed_ones(device, dtype):
    items, steps = [*batches(2), *batches(2, side=16)], 20 if device == CPU else 200
    how = dict(steps=steps, unet_dtype=dtype, items=items, batch_size=1)
    expected, *_ = trained(device, **how)
    found, said, _ = trained(device, **how, cuda_graphs=True)
    assert found == pytest.approx(expected, rel=1e-3)
    assert not any("as ever" in each for each in said), said


@DEVICES
def test_a_transformer_learns_there_what_it_learns_on_the_cpu(device):
    losses = []
    for where in (CPU, device):
        model = tiny_models.build("sd3")[0]
        chance = torch.Generator().manual_seed(1)
        batch = (
            torch.randn(2, 16, 8, 8, generator=chance),
            {
                "context": torch.randn(2, 7, 24, generator=chance),
                "pooled": torch.randn(2, 16, generator=chance),
            },
        )
        spec = scripts.spec_for(model, weight_initialization="XavierNormal", seed=1)
        settings = TrainSettings(steps=4, learning_rate="1e-3", batch_size=2, probe_every=0)
        training = scripts.train(model, [batch], spec, settings, device=where)
        losses.append([step.loss for step in training])
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@DEVICES
def test_an_interrupt_in_the_middle_of_a_pass_leaves_the_model_as_it_was(device):
    model = unet().to(device)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    calls = []

    def interrupt(layer, inputs):
        calls.append(layer)
        if len(calls) == COMPUTED + 2:
            raise KeyboardInterrupt

    for how in ({}, {"cuda_graphs": True}, {"offload": True}, {"unet_dtype": "int8"}):
        calls.clear()
        hook = model.mid_block.register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            trained(device, model, steps=20, **how)
        hook.remove()
        found = model.state_dict()
        assert all(found[name].equal(before[name]) for name in before), how
        assert not any("forward" in vars(layer) for layer in model.modules()), how
    trained(device, model)


@DEVICES
def test_two_networks_act_on_one_model_from_two_threads(device):
    """A patch never changes, so each thread's pictures are those that it draws alone."""
    from hypernet.apply.patches import make_patches

    networks = [
        Hypernetwork(HypernetSpec(widths=(24, 32), weight_initialization="XavierNormal", seed=seed))
        for seed in (1, 2)
    ]
    patches = [make_patches(each) for each in networks]
    tokens, text = (torch.randn(2, 9, width).to(device) for width in (32, 24))

    def draw(which):
        own, other = patches[which]
        for _ in range(20):
            found = [*own(tokens, tokens, tokens, {}), *other(tokens, text, text, {})]
        return [each.cpu() for each in found]

    alone = [draw(which) for which in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(draw, [0, 1] * 4))
    for which, found in zip([0, 1] * 4, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, alone[which], strict=True))


# --- memory, which only a card counts -------------------------------------------------------------


def taken():
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(CARD)


@CARDS
@pytest.mark.parametrize(
    "how", [{}, {"cuda_graphs": True}, {"offload": True}, {"unet_dtype": "int8"}], ids=str
)
def test_20_trainings_leave_no_memory_behind(device, how):
    trained(device, steps=6, **how)  # torch's own workspaces, for the first
    before = taken()
    for _ in range(20):
        trained(device, steps=6, **how)
    assert taken() <= before + 2**16


@CARDS
def test_where_memory_runs_out_parts_are_computed_twice_and_training_goes_on(device):
    model, items = unet(), batches(8, side=128)
    torch.cuda.reset_peak_memory_stats(device)
    expected, *_ = trained(device, model, steps=2, items=items, batch_size=8)
    whole = torch.cuda.max_memory_allocated(device)
    trained(device, model, steps=2, items=items, batch_size=8, checkpointing="on")
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction(0.8 * whole / total, device)
        found, said, _ = trained(device, model, steps=2, items=items, batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert any("Memory ran out" in each for each in said)
    assert found == pytest.approx(expected, rel=1e-3)


@CARDS
def test_int8_takes_half_of_what_float16_weights_take(device):
    peaks = []
    for dtype in ("its own", "int8"):
        model = unet().half()
        gc.collect()
        torch.cuda.empty_cache()
        training = scripts.train(
            model, batches(), HypernetSpec(widths=(24,)),
            TrainSettings(steps=2, learning_rate="1e-3", probe_every=0, unet_dtype=dtype),
            scheduler=SCHEDULER, device=device,
        )  # fmt: skip
        next(training)
        peaks.append(taken())
        training.close()
    weights = sum(weight.numel() for weight in unet().parameters())
    assert peaks[0] - peaks[1] > 0.7 * weights
