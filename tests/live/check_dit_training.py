"""Training on the transformers of ComfyUI in its own process, on tiny random models of the real
classes.

python check_dit_training.py COMFYUI_DIR REPOSITORY [NAMES OF FAMILIES OR CHECKS]

Prints a line for each family, "<name>: passed" or why not, and the name of each other check.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path

import tiny_models
import torch
from check_apply import start
from torch import Tensor

REFUSED = ("wan_i2v", "wan_camera")  # they read a picture, too
NOT_TRIED = ("unet", "omnigen2")  # the tiny text has no mask, which OmniGen2 cannot do without
FAMILIES = [name for name in tiny_models.RECIPES if name not in (*REFUSED, *NOT_TRIED)]
TIMESTEPS = torch.tensor([299, 799])
UPDATES = 20
OFFLOADED = {"offload": True}


def main() -> None:
    comfyui, repository, *names = sys.argv[1:]
    pack = Training(start(comfyui, repository))
    for name in FAMILIES:
        if not names or name in names:
            try:
                trains(pack, name)
                print(f"{name}: passed")
            except Exception:
                print(f"{name}: {traceback.format_exc()}")
    for check in CHECKS:
        if not names or check.__name__ in names:
            with torch.inference_mode():
                check(pack)
            print(check.__name__)


class Training:
    """What the checks use of the pack; to be imported when ComfyUI is."""

    def __init__(self, pack):
        self.compat = pack.compat
        self.host = importlib.import_module("pack.compat.comfyui.training.transformer")
        self.inputs_of = importlib.import_module("pack.compat.comfyui.training.inputs").inputs_of
        self.gradients = importlib.import_module("pack.compat.comfyui.training.gradients")
        self.library = importlib.import_module("hypernet")
        self.acting = importlib.import_module("hypernet.apply.training_network").TrainingNetwork
        self.effect = importlib.import_module("hypernet.apply.effect").Effect
        self.take_census = importlib.import_module("hypernet.families").take_census
        self.stack = importlib.import_module("hypernet.training.batches").stack
        self.loop = importlib.import_module("hypernet.training.train")
        self.learner = importlib.import_module("hypernet.training.learner").Learner
        self.settings = importlib.import_module("hypernet.training.settings").TrainSettings
        self.diffusion = importlib.import_module("hypernet.training.diffusion")
        self.probe = importlib.import_module("hypernet.training.probe")
        self.copies_of = module_in_tests("tiny_models/copies.py").copies_of

    def network(self, tiny, **settings):
        census = self.take_census(tiny.patcher.model.diffusion_model)
        places = tuple((stream, w) for stream, ws in census.widths().items() for w in ws)
        given = {
            "places": places,
            "widths": tuple({width for _, width in places}),
            "layer_structure": (1, 0.5, 1),
            "activation": "mish",
            "weight_initialization": "XavierNormal",
            "seed": 1,
        }
        with torch.inference_mode(False):
            return self.library.Hypernetwork(self.library.HypernetSpec(**given | settings))

    def batch(self, tiny, tokens=(7, 9)):
        """Two pictures, with prompts of these lengths."""
        with torch.inference_mode():
            prompts = [
                prompt
                for seed, number in enumerate(tokens)
                for prompt in self.compat.read_conditioning(
                    tiny_models.conditioning(tiny.name, seed, number), tiny.patcher
                )
            ]
        chance = torch.Generator().manual_seed(0)
        with torch.inference_mode(False):
            latents = torch.randn(len(tokens), *tiny.latent.shape[1:], generator=chance)
            return self.diffusion.Batch(latents, self.stack(prompts))


def module_in_tests(path: str):
    """A module of the other tests; the name tiny_models means another one here."""
    file = Path(__file__).parents[1] / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trains(pack, name: str) -> None:
    """All that must hold for a family."""
    tiny = tiny_models.build(name)
    model = tiny.patcher.model
    network, batch = pack.network(tiny), pack.batch(tiny)
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    owners = {id(part) for part in model.modules() if "forward" in vars(part)}
    picture = tiny_models.sampled(tiny)
    with torch.inference_mode(), pack.compat.denoiser(tiny.patcher) as denoiser:
        assert denoiser.prediction == "flow" and len(denoiser.levels) == 1000
        velocities_are_the_models_own(tiny, denoiser, batch)
        gradients_are_right(pack, denoiser, batch, network)
        updates_lower_the_loss(pack, denoiser, batch, network)
    assert owners == {id(part) for part in model.modules() if "forward" in vars(part)}
    for key, weight in model.state_dict().items():
        assert torch.equal(weight, before[key]), f"{key} has changed"
    assert torch.equal(tiny_models.sampled(tiny), picture), "the model draws something else"


def velocities_are_the_models_own(tiny, denoiser, batch) -> None:
    """Each answer is what the network inside says when the host calls it for one prompt alone."""
    host, answers = tiny.patcher.model, []
    with torch.no_grad():
        found = denoiser.predict(batch.latents, TIMESTEPS, batch.condition, None)
    hook = host.diffusion_model.register_forward_hook(lambda module, given, v: answers.append(v))
    try:
        for row, (seed, tokens) in enumerate(((0, 7), (1, 9))):
            share = (TIMESTEPS[row : row + 1] + 1) / 1000
            x = batch.latents[row : row + 1]
            if type(host).__name__ == "CosmosPredict2":
                x, share = x / (1 - share), share / (1 - share)
            prompt = tiny_models.conditioning(tiny.name, seed, tokens)
            alone = tiny_models.Tiny(tiny.name, tiny.patcher, tiny.latent, prompt)
            with torch.inference_mode():
                given = tiny_models.inputs(alone) | {"x": x, "t": share}
                if "guidance" in given and not tiny.name.startswith("chroma"):
                    given["guidance"] = torch.ones(1)
                host.apply_model(**given)
    finally:
        hook.remove()
    expected = torch.cat([answer.clone() for answer in answers])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def loss_of(pack, denoiser, batch, acting) -> Tensor:
    noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(3))
    found, target = pack.diffusion.predicted(denoiser, batch, noise, TIMESTEPS, acting)
    return (found.double() - target).square().mean()


def gradients_of(pack, denoiser, batch, network, remember=False) -> list[Tensor]:
    network.zero_grad()
    loss_of(pack, denoiser, batch, pack.acting(network, remember)).backward()
    return [weight.grad.clone() for weight in network.parameters()]


def gradients_are_right(pack, denoiser, batch, network) -> None:
    """Of every pair against finite differences; and the same where blocks are computed again."""
    acting = pack.acting(network)
    found = gradients_of(pack, denoiser, batch, network)
    with denoiser.checkpointed():
        again = gradients_of(pack, denoiser, batch, network)
    shared = gradients_of(pack, denoiser, batch, network, remember=True)
    network.zero_grad(set_to_none=True)
    for one, two, three in zip(found, again, shared, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(three, one, rtol=1e-3, atol=1e-6)
    names = [name for name, _ in network.named_parameters()]
    for pair in sorted({name.partition(".linear")[0] for name in names}):  # with its side
        ways = {
            weight: gradient
            for name, weight, gradient in zip(names, network.parameters(), found, strict=True)
            if name.startswith(f"{pair}.linear")
        }
        # the second where the first crosses a boundary of HiDream's experts, where the loss jumps
        tried = [
            slope_along(ways, lambda: loss_of(pack, denoiser, batch, acting), change)
            for change in (5e-4, 5e-5)
        ]
        assert min(abs(ratio - 1) for ratio in tried) < 0.05, (pair, tried)


def slope_along(ways: dict, measure, change: float) -> float:
    """The slope of `measure` along these gradients by a finite difference, ÷ their norm.

    change: by how much the loss shall move.
    """
    norm = sum(gradient.square().sum() for gradient in ways.values()).sqrt().item()
    step = min(change / norm, 0.2)
    ends = []
    with torch.no_grad():
        for sign in (1, -1):
            for weight, gradient in ways.items():
                weight.add_(sign * step / norm * gradient)
            ends.append(measure().item())
            for weight, gradient in ways.items():
                weight.sub_(sign * step / norm * gradient)
    return (ends[0] - ends[1]) / (2 * step) / norm


def updates_lower_the_loss(pack, denoiser, batch, network) -> None:
    settings = pack.settings(
        steps=UPDATES, learning_rate="1e-3", batch_size=2, timesteps="logit-normal", probe_every=0
    )
    measured = [batch] * 4

    def probed() -> float:
        return pack.probe.measure_loss(denoiser, network, measured, 0, 1000).loss

    before = probed()
    learner = pack.learner(network, settings)
    steps = list(pack.loop.train(learner, denoiser, lambda first, number: batch))
    assert len(steps) == UPDATES
    after = probed()
    assert after < 0.998 * before, (before, after)


def prompts_of_one_length_go_through_the_model_together(pack):
    for name, calls in (("z_image", 2), ("flux", 2), ("anima", 1)):  # anima's have one length
        tiny = tiny_models.build(name)
        for tokens, expected in (((7, 9), calls), ((7, 7), 1)):
            batch = pack.batch(tiny, tokens)
            found = pack.inputs_of(tiny.patcher.model, batch.latents, batch.condition)
            assert len(found) == expected, (name, tokens, len(found))


def masks_that_hide_nothing_may_be_missing(pack):
    tiny = tiny_models.build("qwen_image")
    prompts = pack.compat.read_conditioning(tiny_models.conditioning("qwen_image"))
    masked = [{**prompts[0], "attention_mask": torch.tensor([1, 1, 1, 1, 1, 0, 0])}, prompts[0]]
    condition = pack.stack(masked)
    latents = torch.randn(2, *tiny.latent.shape[1:])
    (together,) = pack.inputs_of(tiny.patcher.model, latents, condition)
    assert together.given["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]


def distilled_models_are_told_a_guidance_of_one(pack):
    for name, expected in (("flux", 1.0), ("chroma", 0.0)):
        tiny = tiny_models.build(name)
        batch = pack.batch(tiny)
        for call in pack.inputs_of(tiny.patcher.model, batch.latents, batch.condition):
            assert call.given["guidance"].tolist() == [expected]


def animas_text_goes_through_its_adapter_once(pack):
    tiny = tiny_models.build("anima")
    (text,) = pack.compat.read_conditioning(tiny.conditioning, tiny.patcher)
    assert text.keys() == {"context"} and not text["context"].is_inference()
    hosts = tiny_models.inputs(tiny)["c_crossattn"][0]  # in inference mode: adapted
    torch.testing.assert_close(text["context"], hosts)
    adapter, calls = tiny.patcher.model.diffusion_model.llm_adapter, []
    hook = adapter.register_forward_hook(lambda *_: calls.append(1))
    with pack.compat.denoiser(tiny.patcher) as denoiser:
        batch = pack.batch(tiny)
        calls.clear()
        denoiser.predict(batch.latents, TIMESTEPS, batch.condition, None)
    hook.remove()
    assert not calls


def pictures_are_videos_of_one_frame(pack):
    """On a VAE of the real class: (B, 16, 1, h, w), each channel scaled as the host does."""
    import comfy.sd
    from comfy.ldm.wan.vae import WanVAE

    sizes = {"dim": 8, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}
    own = WanVAE(**sizes, attn_scales=[], temperal_downsample=[False, True, True])
    tiny_models.fill(own)
    vae = comfy.sd.VAE(sd=own.state_dict())
    pixels = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    for name in ("wan", "qwen_image", "anima"):
        patcher = tiny_models.build(name).patcher
        encoded = vae.encode(pixels)
        assert encoded.shape == (1, 16, 1, 8, 8)
        expected = patcher.model.process_latent_in(encoded)
        found, spread = pack.compat.encode_pictures(vae, pixels, patcher)
        torch.testing.assert_close(found, expected)
        assert spread.shape == found.shape and not found.is_inference()
        given = pack.compat.scale_latents(patcher, encoded.clone())
        torch.testing.assert_close(given, expected)


def networks_that_the_model_carries_stay_in_force(pack):
    tiny = tiny_models.build("flux")
    own, carried = pack.network(tiny), pack.network(tiny, seed=5)
    plain = pack.compat.with_network(tiny.patcher, carried, pack.effect())
    batch = pack.batch(tiny)
    found = []
    for model in (tiny.patcher, plain):
        with pack.compat.denoiser(model) as denoiser:
            gradients = gradients_of(pack, denoiser, batch, own)
            with denoiser.checkpointed():
                again = gradients_of(pack, denoiser, batch, own)
        found.append(torch.cat([each.flatten() for each in gradients]))
        torch.testing.assert_close(torch.cat([e.flatten() for e in again]), found[-1])
    assert (found[0] - found[1]).norm() > 0.01 * found[0].norm()


def offloaded_models_learn_the_same(pack):
    for name in ("flux", "sd3", "anima"):
        tiny = tiny_models.build(name)
        network, batch = pack.network(tiny), pack.batch(tiny)
        found = []
        for swapped in (0, 1, 10**6):
            with pack.compat.denoiser(tiny.patcher, swapped=swapped) as denoiser:
                assert denoiser.recomputes == (swapped > 0)
                found.append(gradients_of(pack, denoiser, batch, network))
        for one, *others in zip(*found, strict=True):
            for other in others:
                torch.testing.assert_close(other, one)


def models_in_int8_learn_about_the_same(pack):
    for name in FAMILIES:
        tiny = tiny_models.build(name)
        network, batch = pack.network(tiny), pack.batch(tiny)
        before = {key: id(each) for key, each in tiny.patcher.model.named_parameters()}
        found = []
        for dtype, swapped in ((None, 0), (torch.int8, 0), (torch.int8, 10**6)):
            with pack.compat.denoiser(tiny.patcher, dtype=dtype, swapped=swapped) as denoiser:
                gradients = gradients_of(pack, denoiser, batch, network)
                found.append(torch.cat([each.flatten() for each in gradients]))
        assert 1e-6 < (found[1] - found[0]).norm() / found[0].norm() < 0.2, name
        torch.testing.assert_close(found[2], found[1])
        assert {key: id(each) for key, each in tiny.patcher.model.named_parameters()} == before


def numbers_of(weight: Tensor) -> tuple[int, float]:
    """The same for a weight and for its transposed copy in another dtype."""
    return weight.numel(), float(weight.detach().double().abs().sum())


def float8_weights_are_cast_for_each_product_and_no_graph_keeps_the_copies(pack):
    for name in ("flux", "sd3", "z_image"):
        tiny = tiny_models.build(name, torch.float8_e4m3fn, torch.bfloat16)
        network, batch = pack.network(tiny), pack.batch(tiny)
        weights = tiny.patcher.model.diffusion_model.named_parameters()
        small = [
            each
            for key, each in weights
            if each.dtype == torch.float8_e4m3fn and each.ndim > 1 and ".0." in key
        ]
        kept = []

        def keep(tensor, kept=kept):
            if tensor.is_floating_point() and tensor.element_size() > 1:
                kept.append(numbers_of(tensor))
            return tensor

        with (
            pack.compat.denoiser(tiny.patcher) as denoiser,
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            found = gradients_of(pack, denoiser, batch, network)
        assert all(torch.isfinite(each).all() for each in found)
        copies = {numbers_of(each) for each in small} & set(kept)
        assert len(small) > 6 and not copies, (name, copies)


def nothing_keeps_a_copy_of_the_model(pack):
    """Weights lie in memory once: before, in and after training, and where a network acts."""
    for name, how in (("flux", {}), ("anima", {"checkpointing": "on"}), ("z_image", OFFLOADED)):
        keeps_no_copy(pack, tiny_models.build(name), how)


def keeps_no_copy(pack, tiny, how: dict) -> None:
    weights = dict(tiny.patcher.model.diffusion_model.named_parameters())
    assert pack.copies_of(weights) == [], "before"
    # offloaded, what is between the blocks is on the device for as long as it takes
    sites = pack.take_census(tiny.patcher.model.diffusion_model).sites
    lists = {site.path.partition(".")[0] for site in sites}
    blocks = {key: each for key, each in weights.items() if key.partition(".")[0] in lists}
    looked_at = blocks if how is OFFLOADED else weights
    network, batch = pack.network(tiny), pack.batch(tiny)
    settings = pack.settings(steps=1, learning_rate="1e-3", probe_every=0, **how)
    with pack.compat.denoiser(tiny.patcher, swapped=settings.swapped) as denoiser:
        learner = pack.learner(network, settings)
        for _ in pack.loop.train(learner, denoiser, lambda first, number: batch):
            assert (found := pack.copies_of(looked_at)) == [], (how, found)
    assert pack.copies_of(weights) == [], "after"
    patched = pack.compat.with_network(tiny.patcher, network, pack.effect())
    tiny_models.sampled(tiny, patched)
    assert pack.copies_of(weights) == [], "where it acts"


def in_place_sums_would_spoil_the_backward_pass_without_copies(pack):
    """The trap is there, and the remedy is what closes it."""
    tiny = tiny_models.build("flux")
    network, batch = pack.network(tiny), pack.batch(tiny)
    remedy = pack.host.norms_reading_copies
    pack.host.norms_reading_copies = lambda network: nullcontext()
    try:
        with pack.compat.denoiser(tiny.patcher) as denoiser:
            gradients_of(pack, denoiser, batch, network)
    except RuntimeError as fault:
        assert "inplace operation" in str(fault), fault
    else:
        raise AssertionError("the copies are not needed any more")
    finally:
        pack.host.norms_reading_copies = remedy


def kernels_of_anima_have_no_backward_pass_of_their_own(pack):
    import comfy.quant_ops

    tiny = tiny_models.build("anima")
    network, batch = pack.network(tiny), pack.batch(tiny)
    kernels = comfy.quant_ops.ck
    with pack.compat.denoiser(tiny.patcher) as denoiser:
        plain = comfy.quant_ops.ck
        assert plain is not kernels
        with torch.no_grad():
            found = denoiser.predict(batch.latents, TIMESTEPS, batch.condition, None)
            comfy.quant_ops.ck = kernels
            hosts = denoiser.predict(batch.latents, TIMESTEPS, batch.condition, None)
        assert torch.equal(found, hosts)
        try:
            gradients_of(pack, denoiser, batch, network)
        except (RuntimeError, NotImplementedError) as fault:
            assert "grad" in str(fault), fault
        else:
            raise AssertionError("plain kernels are not needed any more")
    assert comfy.quant_ops.ck is kernels


def models_that_read_a_picture_too_are_refused(pack):
    for name in REFUSED:
        tiny = tiny_models.build(name)
        try:
            with pack.compat.denoiser(tiny.patcher):
                raise AssertionError(f"{name} was opened")
        except ValueError as fault:
            assert "reads a picture beside the noise" in str(fault), fault


def a_changed_sampling_is_refused(pack):
    import comfy.model_sampling as sampling

    tiny = tiny_models.build("flux")

    class Other(sampling.ModelSamplingDiscrete, sampling.EPS):
        pass

    model = tiny.patcher.clone()
    model.add_object_patch("model_sampling", Other(tiny.patcher.model.model_config))
    try:
        with pack.compat.denoiser(model):
            raise AssertionError("it was opened")
    except ValueError as fault:
        assert "samples by EPS and ModelSamplingDiscrete" in str(fault), fault


CHECKS = (
    prompts_of_one_length_go_through_the_model_together,
    masks_that_hide_nothing_may_be_missing,
    distilled_models_are_told_a_guidance_of_one,
    animas_text_goes_through_its_adapter_once,
    pictures_are_videos_of_one_frame,
    networks_that_the_model_carries_stay_in_force,
    offloaded_models_learn_the_same,
    models_in_int8_learn_about_the_same,
    float8_weights_are_cast_for_each_product_and_no_graph_keeps_the_copies,
    nothing_keeps_a_copy_of_the_model,
    in_place_sums_would_spoil_the_backward_pass_without_copies,
    kernels_of_anima_have_no_backward_pass_of_their_own,
    models_that_read_a_picture_too_are_refused,
    a_changed_sampling_is_refused,
)

if __name__ == "__main__":
    main()
