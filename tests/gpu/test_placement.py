"""Everything that training and applying need lies on the card, once, whatever the card is called.

The same tests run on the CPU, so that they are known to be right before a card sees them; those
with the mark `gpu` need one, and are skipped where torch sees none.
"""

import gc
from dataclasses import asdict

import pytest
import torch
from torch import nn

from hypernet import HypernetSpec, Hypernetwork
from hypernet import diffusers as scripts
from hypernet.apply.effect import Effect, make_schedule
from hypernet.apply.patches import make_patches
from hypernet.devices import as_tensors_name_it
from hypernet.runs.state import load_state, read_state, save_state, state_of
from hypernet.training.diffusion import Batch, Denoiser, diffusion_levels
from hypernet.training.learner import Learner
from hypernet.training.parallel import Processes, connected
from hypernet.training.probe import Probe
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH = 16
CARD = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def marked(device):
    """A parameter for pytest; a device of None is a card that is missing."""
    needs_card = pytest.mark.skipif(CARD is None, reason="needs an accelerator: torch sees none")
    return pytest.param(device, marks=[pytest.mark.gpu, needs_card], id=str(device or "card"))


def numbered(device):
    return device and torch.device(device.type, 0)


DEVICES = pytest.mark.parametrize("device", [torch.device("cpu"), marked(CARD)], ids=str)
NAMES = pytest.mark.parametrize(
    "device", [torch.device("cpu"), torch.device("cpu", 0), marked(CARD), marked(numbered(CARD))],
    ids=str,
)  # fmt: skip
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="counts the memory of CUDA")


def network(width=WIDTH, seed=1, **spec):
    made = Hypernetwork(HypernetSpec(widths=(width,), activation="mish", **spec))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(seed))
    return made


def places(tensors):
    return {tensor.device for tensor in tensors}


def tokens(device, seed=0, width=WIDTH):
    return torch.randn(2, 5, width, generator=torch.Generator().manual_seed(seed)).to(device)


def bytes_of(module):
    return sum(parameter.nbytes for parameter in module.parameters())


# --- using a network --------------------------------------------------------------------------


@NAMES
def test_a_network_says_where_it_is_as_its_tensors_do(device):
    made = network().to(device)
    assert places(made.parameters()) == {made.device} == {as_tensors_name_it(device)}


@pytest.mark.parametrize("device", [torch.device("meta"), marked(CARD)], ids=str)
def test_a_network_begins_on_the_cpu_with_the_same_numbers_whatever_the_default_is(device):
    spec = HypernetSpec(widths=(WIDTH,), seed=4)
    expected = Hypernetwork(spec).state_dict()
    with device:
        made = Hypernetwork(spec)
        twin = made.copy()
    for each in (made, twin):
        assert places(each.parameters()) == {torch.device("cpu")}
        assert all(torch.equal(each.state_dict()[name], expected[name]) for name in expected)


@NAMES
def test_patches_answer_on_the_device_what_they_answer_on_the_cpu(device):
    for patch, expected in zip(make_patches(network()), make_patches(network()), strict=True):
        found = patch(*[tokens(device, seed) for seed in (0, 1, 2)], {})
        wanted = expected(*[tokens("cpu", seed) for seed in (0, 1, 2)], {})
        assert places(found) == {as_tensors_name_it(device)}
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-5)


@NAMES
def test_a_schedule_lies_once_where_the_noise_levels_are(device):
    schedule = make_schedule(lambda percent: 10 * (1 - percent), curve=((0.0, 1.0), (1.0, 0.5)))
    patch = make_patches(network(), Effect(schedule=schedule))[1]
    sigmas = torch.tensor([5.0], device=device)
    for moved in (device, torch.device(device.type, 0), torch.device(device.type)):
        patch.to(moved)
        patch(*[tokens(device, seed) for seed in (0, 1, 2)], {"sigmas": sigmas})
        assert list(patch._schedules) == [as_tensors_name_it(device)]
    placed = patch._schedules[sigmas.device]
    assert places([placed.sigmas, placed.factors, placed.factor(sigmas)]) == {sigmas.device}
    assert (placed is schedule) == (device.type == "cpu")


@NAMES
def test_weights_are_copied_once_for_both_patches_and_leave_with_the_model(device):
    patches = make_patches(network())
    weights = patches[0].weights
    for patch in patches:
        for moved in (device, torch.device(device.type, 0), torch.device(device.type)):
            patch.to(moved)
            patch(*[tokens(moved, seed) for seed in (0, 1, 2)], {})
    assert len(weights._copies) == (device.type != "cpu")
    assert places(weights.home.parameters()) == {torch.device("cpu")}
    patches[0].to(torch.device("cpu"))
    assert not weights._copies


@DEVICES
def test_in_a_script_a_network_acts_where_the_unet_is_and_stays_where_it_was(device):
    attention = nn.ModuleDict({side: nn.Linear(WIDTH, 4) for side in ("to_k", "to_v")})
    unet = nn.ModuleDict({"attn2": attention}).to(device)
    made, x = network(), tokens(device)
    with scripts.apply(unet, made), torch.no_grad():
        found = attention["to_k"](x)
    with torch.no_grad():
        expected = attention["to_k"](made.keys(x.cpu()).to(device))
    assert places([found]) == {x.device} and made.device == torch.device("cpu")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


# --- training ---------------------------------------------------------------------------------


def batch_at(first, number):
    chance = torch.Generator().manual_seed(first)
    latents = torch.randn(number, 4, 2, 2, generator=chance)
    weights = torch.rand(number, 1, 2, 2, generator=chance)
    return Batch(latents, {"context": torch.randn(number, 5, WIDTH, generator=chance)}, weights)


def denoiser_on(device, dtype=torch.float32, seen=None):
    """seen: a set that gets the device of everything that the UNet is given."""

    def predict(noisy, timesteps, condition, acting):
        context = condition["context"]
        given = {noisy.device, timesteps.device, context.device}
        _, keys, values = acting.attn2(context[:, :1], context, context, {})
        if seen is not None:
            seen.update(given, {keys.device, values.device})
        return noisy + (keys + values).mean((1, 2))[:, None, None, None]

    return Denoiser(
        predict=predict, prediction="eps",
        levels=diffusion_levels(torch.linspace(0.99, 0.01, 1000)),
        device=device, dtype=dtype,
    )  # fmt: skip


def settings_of(**others):
    defaults = dict(steps=4, learning_rate="1e-2", batch_size=2, probe_every=2, min_snr_gamma=5.0)
    return TrainSettings(**defaults | others)


def learner_on(device, settings, **spec):
    return Learner(network(**spec).to(device), settings)


def trained(learner, device, dtype=torch.float32, seen=None):
    denoiser = denoiser_on(device, dtype, seen)
    return list(train(learner, denoiser, batch_at, Probe([batch_at(900, 2)])))


def moments(learner):
    """The optimizer's tensors of the weights' shapes; its counters may stay on the CPU."""
    states = learner.optimizer.state.values()
    return [each for state in states for each in state.values() if each.ndim]


def weights(made):
    return torch.cat([parameter.detach().flatten() for parameter in made.parameters()])


def check_places(learner, device):
    everything = [*learner.network.parameters(), *moments(learner)]
    everything += [] if learner.average is None else learner.average.parameters()
    assert places(everything) == {as_tensors_name_it(device)}


@NAMES
@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_network_average_and_moments_are_on_the_device_and_so_is_what_the_unet_gets(device, ema):
    learner, seen = learner_on(device, settings_of(ema=ema)), set()
    check_places(learner, device)
    trained(learner, device, seen=seen)
    assert moments(learner) and seen == {as_tensors_name_it(device)}
    check_places(learner, device)


@NAMES
def test_the_device_learns_what_the_cpu_learns(device):
    """Noise and timesteps are drawn on the CPU, so that every device sees the same."""
    settings = settings_of(ema=0.5, gradient_clip="norm")
    found, expected = (learner_on(each, settings) for each in (device, torch.device("cpu")))
    steps, others = trained(found, device), trained(expected, torch.device("cpu"))
    assert [s.loss for s in steps] == pytest.approx([s.loss for s in others], rel=1e-3)
    assert steps[1].probe == pytest.approx(others[1].probe, rel=1e-3)
    # AdamW moves a weight by the rate, 1e-2, whose gradient is hardly more than rounding
    found, expected = (weights(each.result).cpu() for each in (found, expected))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


@DEVICES
def test_gradients_are_averaged_on_the_device_by_its_own_backend(tmp_path, device):
    """A group of one, in which it counts as the first of two: the other adds nothing.

    Whole pairs of processes are in tests/hypernet/training/test_parallel.py.
    """
    if device.type not in ("cpu", "cuda"):
        pytest.skip(f"no backend for {device.type} here: networks train together on CUDA or a CPU")
    backend, one, results = "cpu:gloo", Processes(0, 2), []
    if device.type == "cuda":
        backend += ",cuda:nccl"
    for number, place in enumerate((device, torch.device("cpu"))):
        meeting = dict(init_method=f"file://{tmp_path / str(number)}", rank=0, world_size=1)
        learner = learner_on(place, settings_of(gradient_clip="norm"))
        with connected(backend, **meeting):
            steps = list(train(learner, denoiser_on(place), batch_at, None, one))
        results.append(([step.gradient for step in steps], weights(learner.network).cpu()))
    (found, there), (expected, here) = results
    assert found == pytest.approx(expected, rel=1e-3)
    torch.testing.assert_close(there, here, rtol=0, atol=1e-3)


@DEVICES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_network_learns_in_float32_beside_a_unet_of_half_precision(device, dtype):
    learner = learner_on(device, settings_of())
    steps = trained(learner, device, dtype)
    assert len(steps) == 4 and torch.isfinite(weights(learner.network)).all()
    assert {each.dtype for each in (*learner.network.parameters(), *moments(learner))} == {
        torch.float32
    }


@NAMES
@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_run_is_saved_from_the_device_and_goes_on_there_as_if_unbroken(tmp_path, device, ema):
    settings = settings_of(steps=6, ema=ema)
    whole = learner_on(device, settings, dropout_structure=(0, 0.5, 0))
    trained(whole, device)
    half = learner_on(device, settings_of(ema=ema), dropout_structure=(0, 0.5, 0))
    trained(half, device)
    save_state(tmp_path, state_of(half.network, half, asdict(settings), {}))
    state = read_state(tmp_path / "state.pt")
    assert places(state.weights.values()) == {torch.device("cpu")}
    rest = learner_on(device, settings, seed=5, dropout_structure=(0, 0.5, 0))
    load_state(state, rest.network, rest)
    check_places(rest, device)
    trained(rest, device)
    check_places(rest, device)
    for one, other in ((rest.network, whole.network), (rest.result, whole.result)):
        torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=1e-5)


@DEVICES
def test_a_run_of_the_card_goes_on_on_the_cpu_and_the_other_way_round(tmp_path, device):
    cpu = torch.device("cpu")
    for start, end in ((device, cpu), (cpu, device)):
        learner = learner_on(start, settings_of(ema=0.5))
        trained(learner, start)
        save_state(tmp_path, state_of(learner.network, learner, {}, {}))
        later = learner_on(end, settings_of(steps=6, ema=0.5))
        load_state(read_state(tmp_path / "state.pt"), later.network, later)
        assert [step.done for step in trained(later, end)] == [5, 6]
        check_places(later, end)


@NAMES
def test_the_good_state_lies_in_ram_and_comes_back_to_the_device(device):
    learner = learner_on(device, settings_of(ema=0.5))
    trained(learner, device)
    learner.keep_good()
    good = learner._good
    assert places([*good["weights"].values(), *good["average"].values()]) == {torch.device("cpu")}
    learner.go_back()
    check_places(learner, device)


@DEVICES
def test_dropout_leaves_the_random_state_of_the_device_alone(device):
    if device.type not in ("cpu", "cuda"):
        pytest.skip("torch cannot give back the random state of this kind of card")
    state = torch.get_rng_state if device.type == "cpu" else torch.cuda.get_rng_state
    before = state()
    trained(learner_on(device, settings_of(), dropout_structure=(0, 0.5, 0)), device)
    assert torch.equal(state(), before)


# --- once -------------------------------------------------------------------------------------

WIDE = 512  # so wide that what an allocator adds to each tensor does not count


def memory():
    gc.collect()
    return torch.cuda.memory_allocated()


def update(learner):
    for group in learner.optimizer.param_groups:
        group["lr"] = 1e-3
    for change in (learner.network.keys, learner.network.values):
        change(tokens("cuda", width=WIDE)).sum().backward()
    learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=True)
    learner.count_update()


@pytest.mark.gpu
@CUDA
def test_two_patches_called_by_two_names_take_the_memory_of_one_network():
    update(Learner(network(WIDE).cuda(), settings_of()))  # torch's own workspace, for the first
    patches = make_patches(network(WIDE))
    before = memory()
    for name in ("cuda", "cuda:0"):
        for patch in patches:
            patch.to(torch.device(name))
            patch(*[tokens(name, seed, WIDE) for seed in (0, 1, 2)], {})
            patch.cleanup()
    assert memory() - before < 1.2 * bytes_of(patches[0].weights.home)
    patches[0].to(torch.device("cpu"))
    assert memory() - before < 0.2 * bytes_of(patches[0].weights.home)


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_learner_that_was_resumed_and_went_back_takes_no_more_than_at_first(tmp_path, ema):
    """Weights, two moments, and the average; what is good lies in RAM."""
    settings = settings_of(ema=ema)
    first = Learner(network(WIDE).cuda(), settings)
    update(first)
    first.keep_good()
    update(first)
    save_state(tmp_path, state_of(first.network, first, {}, {}))
    del first
    before = memory()
    learner = Learner(network(WIDE).cuda(), settings)
    for _ in range(2):
        load_state(read_state(tmp_path / "state.pt"), learner.network, learner)
        update(learner)
        learner.go_back()
        update(learner)
    copies = 4 if ema else 3
    assert memory() - before < (copies + 0.3) * bytes_of(learner.network)
