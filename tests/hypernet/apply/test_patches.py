"""The patch: what it computes, when it acts, what it remembers, and what it leaves alone."""

import threading

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import (
    Effect,
    arithmetic_on,
    make_schedule,
    parse_strength_curve,
    parse_widths,
)
from hypernet.apply.fit import check_fit
from hypernet.apply.memo import Memo
from hypernet.apply.patches import (
    HypernetPatch,
    PlacedWeights,
    TrainingPatch,
    make_patches,
)

TEXT, PICTURE = 12, 8  # widths
SIGMAS = torch.tensor([10.0])


def network(**settings):
    spec = {"activation": "relu", "weight_initialization": "XavierNormal"} | settings
    return Hypernetwork(HypernetSpec(widths=(PICTURE, TEXT), **spec))


def tokens(width=TEXT, batch=2, seed=0):
    return torch.randn(batch, 5, width, generator=torch.Generator().manual_seed(seed))


def text_patch(net, **effect):
    return make_patches(net, Effect(**effect))[1]


def through(patch, context, value=None, **options):
    value = context if value is None else value
    return patch(tokens(PICTURE, len(context)), context, value, options)[1:]


class Counted:
    """How often a patch computes keys; its own network, so that patches do not share a count."""

    def __init__(self, patch):
        self.times = 0
        for pair in patch.weights.home.network.pairs.values():
            pair["k"].register_forward_hook(self.count)

    def count(self, *_):
        self.times += 1


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [-10.0, -1.0, 0.5, 1.0, 2.0])
def test_keys_and_values_are_transformed_and_n_is_passed_on(strength):
    net, n, context = network(), tokens(PICTURE), tokens()
    attn1, attn2 = make_patches(net, Effect(strength=strength))
    for patch, given in ((attn1, n), (attn2, context)):
        found = patch(n, given, given, {})
        assert found[0] is n
        assert found[1].equal(net.keys(given, strength))
        assert found[2].equal(net.values(given, strength))


def test_without_a_context_the_pictures_own_tokens_are_used():
    net, n = network(), tokens(PICTURE)
    found = make_patches(net)[0](n, None, None, {})
    assert found[1].equal(net.keys(n)) and found[2].equal(net.values(n))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_and_cast_back(dtype):
    net, context = network(), tokens().to(dtype)
    keys, values = through(text_patch(net), context)
    assert keys.equal(net.keys(context.float()).to(dtype)) and keys.dtype == dtype
    assert values.equal(net.values(context.float()).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_as_the_model_the_products_are_computed_in_its_dtype(dtype):
    net, context = network(), tokens().to(dtype)
    effect = Effect(strength=0.7)
    exact, short = (make_patches(net, effect, dtype=each)[1] for each in (None, dtype))
    assert {weight.dtype for weight in short.weights.home.parameters()} == {dtype}
    assert {weight.dtype for weight in net.parameters()} == {torch.float32}
    for found, wanted in zip(through(short, context), through(exact, context), strict=True):
        assert found.dtype == dtype and not found.equal(wanted)
        torch.testing.assert_close(found, wanted, rtol=4 * torch.finfo(dtype).eps, atol=0.02)


def test_what_a_network_computes_in_follows_the_model_where_that_is_wanted():
    assert arithmetic_on(torch.float16, "exact") is None
    assert arithmetic_on(torch.float16, "as the model") == torch.float16
    assert arithmetic_on(torch.float8_e4m3fn, "as the model") is None
    with pytest.raises(ValueError, match='precision "half" is none of exact, as the model'):
        arithmetic_on(torch.float16, "half")


def test_as_a_float32_model_nothing_is_another():
    net, context = network(), tokens()
    exact, same = (make_patches(net, dtype=each)[1] for each in (None, torch.float32))
    assert all(
        found.equal(wanted)
        for found, wanted in zip(through(same, context), through(exact, context), strict=True)
    )


def test_autocast_does_not_lower_the_precision():
    net, context = network(), tokens()
    with torch.autocast("cpu", torch.bfloat16):
        keys, _ = through(text_patch(net), context)
    assert keys.equal(net.keys(context))


def test_a_network_of_half_precision_weights_is_computed_in_float32():
    net, context = network().half(), tokens()
    keys, _ = through(text_patch(net), context)
    assert keys.equal(network().half().float().keys(context))


@pytest.mark.parametrize(
    ("effect", "on_keys", "on_values"),
    [
        ({"strength": 0.0}, 0, 0),
        ({"strength": 2.0, "keys": 0.5}, 1, 2),
        ({"strength": 2.0, "values": -0.5}, 2, -1),
        ({"keys": 0.0}, 0, 1),
        ({"values": 0.0}, 1, 0),
        ({"widths": ((TEXT, 0.25),)}, 0.25, 0.25),
        ({"widths": ((PICTURE, 0.25),)}, 1, 1),
    ],
)
def test_keys_values_and_widths_have_their_own_factors(effect, on_keys, on_values):
    net, context = network(), tokens()
    keys, values = through(text_patch(net, **effect), context)
    assert keys.equal(net.keys(context, on_keys))
    assert values.equal(net.values(context, on_values))
    assert (keys is context) == (on_keys == 0)
    assert (values is context) == (on_values == 0)


def test_a_width_that_the_network_does_not_hold_passes_untouched():
    context = tokens(7)
    keys, values = through(text_patch(network()), context)
    assert keys is context and values is context


def test_networks_act_in_the_order_of_the_chain():
    first, second, context = network(seed=1), network(seed=2), tokens()
    keys, values = through(text_patch(second), *through(text_patch(first), context))
    assert keys.equal(second.keys(first.keys(context)))
    assert values.equal(second.values(first.values(context)))


# --- which half, and when ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "chunks", "changed"),
    [
        ("both", [1, 0], [True, True]),
        ("positive", [1, 0], [False, True]),
        ("negative", [1, 0], [True, False]),
        ("positive", [0, 0, 1], [True, True, False]),
        ("positive", [0], [True]),
        ("positive", [1], [False]),
        ("negative", [1], [True]),
    ],
)
def test_the_positive_or_negative_prompt_can_be_left_alone(prompts, chunks, changed):
    net, context = network(), tokens(batch=2 * len(chunks))
    keys, _ = through(text_patch(net, prompts=prompts), context, cond_or_uncond=chunks)
    parts, given_parts = keys.chunk(len(chunks)), context.chunk(len(chunks))
    for part, given, yes in zip(parts, given_parts, changed, strict=True):
        assert torch.allclose(part, net.keys(given) if yes else given, atol=1e-6)
        assert part.equal(given) != yes


def percent_to_sigma(percent):
    """Sigma falls evenly from 100 to 0; outside, it has ComfyUI's values."""
    return 999999999.9 if percent <= 0 else 0.0 if percent >= 1 else 100 * (1 - percent)


@pytest.mark.parametrize(
    ("start", "end", "curve", "expected"),
    [
        (0.2, 0.8, "", {100: 0, 81: 0, 80: 1, 50: 1, 20: 1, 19: 0}),
        (0.0, 0.5, "", {100: 1, 51: 1, 49: 0}),
        (0.5, 1.0, "", {100: 0, 50: 1, 0.01: 1}),
        (0.0, 1.0, "0: 1, 1: 0", {100: 1, 75: 0.75, 33.3: 0.333, 0.01: 0}),
        (0.0, 1.0, "0.25: 2, 0.75: -1", {100: 2, 75: 2, 50: 0.5, 25: -1, 1: -1}),
        (0.0, 1.0, "0.5: 0.3", {100: 0.3, 1: 0.3}),
        (0.5, 1.0, "0: 1, 1: 0", {60: 0, 40: 0.4}),
    ],
)
def test_the_factor_follows_the_noise_level(start, end, curve, expected):
    schedule = make_schedule(percent_to_sigma, start, end, parse_strength_curve(curve))
    net, context = network(), tokens()
    patch = text_patch(net, schedule=schedule, strength=2.0)
    for sigma, factor in expected.items():
        keys, _ = through(patch, context, sigmas=torch.full((2,), float(sigma)))
        wanted = net.keys(context, 2.0 * factor)
        torch.testing.assert_close(keys, wanted, atol=2e-3, rtol=0)
        assert (keys is context) == (factor == 0 and sigma != 0.01)


def test_factor_one_on_every_step_needs_no_schedule():
    assert make_schedule(percent_to_sigma) is None
    assert make_schedule(percent_to_sigma, 0.0, 1.0, ()) is None


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (parse_strength_curve, "0: 1, x: 2", 'Curve "0: 1, x: 2": "x" is not a number'),
        (parse_strength_curve, "0.5: 1, 0.2: 2", "must rise from 0 to 1"),
        (parse_strength_curve, "0: 1, 2: 2", "must rise from 0 to 1"),
        (parse_strength_curve, "0.3", '"0.3" is not two numbers'),
        (parse_strength_curve, "0: nan", "not two numbers"),
        (parse_widths, "768", '"768" is not two numbers'),
        (parse_widths, "768: 1, 768: 2", "width 768 has more than one factor"),
        (parse_widths, "0.5: 1", "0.5 is not a width"),
    ],
)
def test_wrong_texts_are_refused_and_quoted(parse, text, words):
    with pytest.raises(ValueError) as fault:
        parse(text)
    assert words in str(fault.value)


def test_texts_are_read_leniently():
    assert parse_widths(" 768：0.5， 320:0 ") == ((768, 0.5), (320, 0.0))
    assert parse_strength_curve("") == () and parse_strength_curve("0: 1;\n1: 0") == (
        (0, 1),
        (1, 0),
    )


def test_a_start_after_the_end_is_refused():
    with pytest.raises(ValueError, match="start 0.8 is not before end 0.2"):
        make_schedule(percent_to_sigma, 0.8, 0.2)


# --- the text once -------------------------------------------------------------------------------

MODES = pytest.mark.parametrize("inference", [False, True], ids=["ordinary", "inference"])


@MODES
def test_the_text_is_transformed_once_for_all_blocks_and_steps(inference):
    with torch.inference_mode(inference):
        patch = text_patch(network())
        counted, context = Counted(patch), tokens()
        for _ in range(3):
            step = context.clone()  # a host creates it again for each step
            results = [through(patch, step) for _ in range(16)]
        assert counted.times == 1
        assert all(keys.equal(network().keys(context)) for keys, _ in results)


def test_self_attention_is_never_cached():
    attn1, attn2 = make_patches(network())
    counted, n = Counted(attn1), tokens(PICTURE)
    for patch in (attn1, attn1, attn2, attn2):  # video models pass the picture to attn2 too
        patch(n, n, n, {})
    assert counted.times == 4


@MODES
@pytest.mark.parametrize(
    "spoil",
    [
        lambda context: context.mul_(2),
        lambda context: context[1].zero_(),
        lambda context: context.copy_(context.flip(0)),
        lambda context: context.set_(tokens(seed=9)),
        lambda context: context.transpose(1, 2)[0, 0].fill_(1),
    ],
    ids=["scaled", "a row", "batch reordered", "other storage", "through a view"],
)
def test_a_write_into_the_text_is_noticed(spoil, inference):
    net = network()
    with torch.inference_mode(inference), torch.no_grad():
        patch, context = text_patch(net), tokens()
        through(patch, context)
        spoil(context)
        keys, values = through(patch, context)
        assert keys.equal(net.keys(context)) and values.equal(net.values(context))


@MODES
def test_the_same_storage_with_another_prompt_is_noticed(inference):
    net = network()
    with torch.inference_mode(inference), torch.no_grad():
        patch, buffer = text_patch(net), tokens()
        for seed in (1, 2, 1):
            buffer.copy_(tokens(seed=seed))
            assert through(patch, buffer[:])[0].equal(net.keys(buffer))


@MODES
def test_alternating_prompts_are_neither_mixed_up_nor_computed_again(inference):
    net = network()
    with torch.inference_mode(inference):
        patch = text_patch(net)
        counted = Counted(patch)
        prompts = [tokens(seed=seed) for seed in (1, 2)]
        prompts.append(torch.cat([prompts[0][:1], prompts[1][:1]]))  # both in one batch
        prompts.append(prompts[2].flip(0))
        for _ in range(3):
            for prompt in prompts:
                assert through(patch, prompt.clone())[0].equal(net.keys(prompt))
        assert counted.times == len(prompts)


@MODES
def test_a_write_into_a_result_does_not_spoil_later_results(inference):
    net, context = network(), tokens()
    for effect in ({}, {"keys": 0.0}, {"values": 0.0}):
        with torch.inference_mode(inference), torch.no_grad():
            patch, given = text_patch(net, **effect), context.clone()
            expected = [tensor.clone() for tensor in through(text_patch(net, **effect), context)]
            for tensor in through(patch, given):
                tensor.mul_(3)
            for found, wanted in zip(through(patch, context.clone()), expected, strict=True):
                assert found.equal(wanted)


def test_keys_and_values_changed_by_an_earlier_patch_are_kept_apart():
    net, context = network(), tokens()
    patch = text_patch(net)
    for value in (context, tokens(seed=3), context * 2):
        keys, values = through(patch, context, value)
        assert keys.equal(net.keys(context)) and values.equal(net.values(value))


def test_the_cache_depends_on_the_changed_chunks_and_the_moment():
    net, context = network(), tokens()
    schedule = make_schedule(percent_to_sigma, curve=((0.0, 1.0), (1.0, 0.0)))
    patch = text_patch(net, prompts="positive", schedule=schedule)
    fresh = lambda: text_patch(net, prompts="positive", schedule=schedule)  # noqa: E731
    for sigma in (90.0, 50.0, 90.0):
        for chunks in ([0, 1], [1, 0], [0], [1]):
            options = {"sigmas": torch.full((1,), sigma), "cond_or_uncond": chunks}
            found = through(patch, context, **options)
            assert found[0].equal(through(fresh(), context, **options)[0])


def test_training_the_network_further_is_noticed():
    net, context = network(), tokens()
    patch = text_patch(net)
    through(patch, context)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    net.keys(context).square().sum().backward()
    optimizer.step()
    assert through(patch, context)[0].equal(net.keys(context))


def test_nothing_is_kept_after_the_run_and_an_interrupted_run_does_no_harm():
    net = network()
    patch = text_patch(net)
    counted = Counted(patch)
    through(patch, tokens(seed=1))  # the run is aborted, without cleanup
    assert through(patch, tokens(seed=2))[0].equal(net.keys(tokens(seed=2)))
    patch.cleanup()
    assert not patch._memo._entries
    through(patch, tokens(seed=2))
    assert counted.times == 3


def test_threads_get_their_own_results():
    net, faults = network(), []
    patch = text_patch(net)
    prompts = [tokens(seed=seed) for seed in range(12)]
    expected = [net.keys(prompt) for prompt in prompts]

    def work(first):
        with torch.inference_mode():
            for turn in range(60):
                number = (first * 3 + turn) % len(prompts)
                if not through(patch, prompts[number].clone())[0].equal(expected[number]):
                    faults.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def remembered(*inputs):
    """Does a memo use its cached result when it is asked twice for these inputs?"""
    memo, times = Memo(), []
    for _ in range(2):
        memo.recall("key", inputs, lambda: (times.append(1) or torch.zeros(1),))
    return len(times) == 1


def test_on_an_accelerator_only_tensors_with_a_version_are_cached():
    """Meta tensors stand in for those of an accelerator: reading their numbers is an error."""
    ordinary = torch.zeros(2, device="meta")
    with torch.inference_mode():
        made_here = torch.zeros(2, device="meta")
        assert remembered(ordinary)
        assert not remembered(made_here)
        assert not remembered(ordinary, made_here)


def test_on_an_accelerator_a_write_and_another_tensor_are_noticed():
    memo, text = Memo(), torch.zeros(2, device="meta")
    times = []
    steps = [lambda: text, lambda: text, lambda: text.add_(1), lambda: text, lambda: text.clone()]
    with torch.inference_mode():
        for step in steps:
            memo.recall(None, (step(),), lambda: (times.append(1) or torch.zeros(1),))
    assert len(times) == 3  # the first, after the write, and the clone


def test_tensors_with_gradients_are_not_cached():
    patch, context = text_patch(network()), tokens().requires_grad_()
    for _ in range(2):
        (grad,) = torch.autograd.grad(through(patch, context)[0].sum(), context)
        assert grad.abs().max() > 0


# --- hosts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("inference", [True, False])
def test_nothing_waits_for_the_accelerator(inference):
    """A meta tensor has no numbers: whatever reads one fails."""
    schedule = make_schedule(percent_to_sigma, 0.1, 0.9, ((0.0, 1.0), (1.0, 0.0)))
    with torch.inference_mode(inference):
        patches = make_patches(network(), Effect(schedule=schedule, prompts="positive"))
        n, context = tokens(PICTURE).to("meta"), tokens().to("meta")
        options = {"sigmas": SIGMAS.to("meta"), "cond_or_uncond": [1, 0]}
        for patch, given in zip(patches, (n, context), strict=True):
            for _ in range(2):
                _, keys, values = patch(n, given, given, options)
                assert keys.shape == values.shape == given.shape


class Block(torch.nn.Module):
    """Projections with patches before them, as a UNet has them."""

    def __init__(self):
        super().__init__()
        self.to_q, self.to_k1, self.to_v1 = (torch.nn.Linear(PICTURE, 4) for _ in range(3))
        self.to_k2, self.to_v2 = (torch.nn.Linear(TEXT, 4) for _ in range(2))

    def forward(self, n, context, options, patches):
        attn1, attn2 = patches
        q, k, v = attn1(n, n, n, options)
        mixed = torch.nn.functional.scaled_dot_product_attention(
            self.to_q(q), self.to_k1(k), self.to_v1(v)
        )
        q, k, v = attn2(n, context, context, options)
        return mixed + torch.nn.functional.scaled_dot_product_attention(
            self.to_q(q), self.to_k2(k), self.to_v2(v)
        )


@pytest.mark.parametrize("inference", [True, False])
def test_a_compiled_block_has_no_graph_break(inference):
    schedule = make_schedule(percent_to_sigma, 0.1, 0.9, ((0.0, 1.0), (1.0, 0.0)))
    block, net = Block(), network()
    options = {"sigmas": torch.tensor([50.0]), "cond_or_uncond": [1, 0]}
    torch._dynamo.reset()
    with torch.inference_mode(inference), torch.no_grad():
        for effect in (Effect(), Effect(schedule=schedule, prompts="negative")):
            patches = make_patches(net, effect)
            compiled = torch.compile(block, backend="eager", fullgraph=True)
            for seed in (1, 2):
                given = tokens(PICTURE, seed=seed), tokens(seed=seed), options, patches
                torch.testing.assert_close(compiled(*given), block(*given))


def test_moving_and_casting_a_model_leaves_the_stored_weights_alone():
    net, context = network(), tokens()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    patch = text_patch(net)
    for target in (torch.device("meta"), torch.float16, torch.float8_e4m3fn, torch.device("cpu")):
        assert patch.to(target) is patch
    for name, weight in net.state_dict().items():
        assert weight.dtype == torch.float32 and weight.equal(before[name])
    assert through(patch, context)[0].equal(net.keys(context))


def test_weights_share_the_networks_memory_and_one_copy_serves_both_patches():
    net = network()
    attn1, attn2 = make_patches(net)
    assert attn1.weights is attn2.weights
    ours = dict(attn1.weights.home.network.named_parameters())
    for name, weight in net.named_parameters():
        assert ours[name].data_ptr() == weight.data_ptr()
        assert not ours[name].requires_grad and weight.requires_grad
    attn1.to(torch.device("meta"))
    assert list(attn1.weights._copies) == [torch.device("meta")]
    attn2.to(torch.device("cpu"))
    assert not attn1.weights._copies


def test_a_host_that_counts_memory_gets_the_weights():
    given = []
    patches = make_patches(network(), manage=lambda module: given.append(module) or ["patcher"])
    assert given == [patches[0].weights.home]
    assert all(patch.models() == ["patcher"] for patch in patches)
    assert make_patches(network())[0].models() == []


def test_dropout_is_off_even_while_the_network_is_being_trained():
    net, context = network(dropout_structure=(0, 0.9, 0)), tokens()
    expected = net.keys(context)
    for patch in (text_patch(net), text_patch(net.train())):
        assert through(patch, context)[0].equal(expected)
    assert net.training, "and its mode stays as it was"


def test_gradients_pass_an_applied_network_but_do_not_reach_it():
    net, n = network(), tokens(PICTURE).requires_grad_()
    _, keys, values = make_patches(net)[0](n, n, n, {})
    (keys.sum() + values.sum()).backward()
    assert n.grad.abs().max() > 0
    assert all(weight.grad is None for weight in net.parameters())


def test_the_training_patch_trains_the_networks_own_weights_with_dropout():
    net, context = network(dropout_structure=(0, 0.5, 0)).train(), tokens()
    patch = TrainingPatch(net)
    _, keys, values = patch(context, context, context, {})
    assert not keys.equal(patch(context, context, context, {})[1])
    (keys.sum() + values.sum()).backward()
    assert all(weight.grad is not None for weight in net.pairs[str(TEXT)].parameters())


def test_patches_that_share_weights_keep_their_own_strength():
    weights = PlacedWeights(network())
    half, whole = (HypernetPatch(weights, Effect(strength=s)) for s in (0.5, 1.0))
    context = tokens()
    assert through(half, context)[0].equal(network().keys(context, 0.5))
    assert through(whole, context)[0].equal(network().keys(context, 1.0))


# --- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "model", "words"),
    [
        ((320, 768), {"attn1": (320, 640), "attn2": (768,)}, []),
        ((768,), {"attn1": (320, 640), "attn2": (768,)}, []),
        (
            (320, 640, 768, 1280),
            {"attn1": (640, 1280), "attn2": (2048,)},
            ["320, 640, 768, 1280", "640, 1280, 2048", "Only 640, 1280 can act, 320, 768 cannot"],
        ),
    ],
)
def test_a_network_that_fits_in_part_gives_a_warning_with_the_widths_of_both(held, model, words):
    warning = check_fit(Hypernetwork(HypernetSpec(widths=held, layer_structure=(1, 1))), model)
    assert bool(warning) == bool(words)
    for word in words:
        assert word in warning


def test_a_network_that_does_not_fit_at_all_is_refused_with_the_widths_of_both():
    with pytest.raises(ValueError, match=r"8, 12.*320, 768"):
        check_fit(network(), {"attn1": (320,), "attn2": (768,)})
