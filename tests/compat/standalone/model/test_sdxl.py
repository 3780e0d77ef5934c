"""Training on a model of SDXL's shape, against diffusers' own UNet and a plain loop."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.single_file import read_file

from hypernet.network.hypernetwork import Hypernetwork
from hypernet.network.spec import HypernetSpec
from hypernet.seeding import generator
from hypernet.training.diffusion import Batch
from hypernet.training.learner import Learner
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

SETTINGS = TrainSettings(steps=5, learning_rate="1e-3", batch_size=2, seed=7)
ZERO_SNR = {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}


def original_files():
    file = Path(__file__).with_name("original_files.py")
    spec = importlib.util.spec_from_file_location("original_files", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder, write = tmp_path_factory.mktemp("sdxl"), original_files().write
    return {
        "eps": write(folder / "eps.safetensors", "sdxl"),
        "v": write(folder / "v.safetensors", "sdxl", **ZERO_SNR),
    }


def batch_at(first: int, number: int) -> Batch:
    chance = torch.Generator().manual_seed(first)
    sizes = torch.tensor([[900, 1500, 16, 40, 64, 96], [3000, 2047, 0, 3, 64, 96]])
    condition = {
        "context": torch.randn(number, 77, 80, generator=chance),
        "pooled": torch.randn(number, 48, generator=chance),
        "sizes": sizes[:number].float(),
    }
    return Batch(torch.randn(number, 4, 8, 12, generator=chance), condition)


def network() -> Hypernetwork:
    return Hypernetwork(
        HypernetSpec(
            widths=(64, 80), activation="mish", weight_initialization="XavierNormal", seed=1
        )
    )


def plain_loop(parts) -> tuple[list[float], Hypernetwork]:
    """Training by the plain formulas, on a UNet made by diffusers alone."""
    unet, alphas = parts.unet.eval().requires_grad_(False), parts.sampling.alphas_cumprod
    learnt = network().train()
    for name, module in unet.named_modules():
        side = {"to_k": learnt.keys, "to_v": learnt.values}.get(name.rpartition(".")[2])
        if side:
            module.register_forward_pre_hook(lambda _, given, side=side: (side(given[0]),))
    optimizer = torch.optim.AdamW(learnt.parameters(), lr=1e-3, weight_decay=0.01)
    losses = []
    for step in range(SETTINGS.steps):
        batch = batch_at(2 * step, 2)
        chance = generator(SETTINGS.seed, "noise", step)
        timesteps = torch.randint(0, 1000, (2,), generator=chance)
        noise = torch.randn(batch.latents.shape, generator=chance)
        a = alphas[timesteps].view(-1, 1, 1, 1)
        answer = unet(
            a.sqrt() * batch.latents + (1 - a).sqrt() * noise,
            timesteps,
            batch.condition["context"],
            added_cond_kwargs={
                "text_embeds": batch.condition["pooled"],
                "time_ids": batch.condition["sizes"],
            },
        ).sample
        is_v = parts.sampling.prediction == "v"
        target = a.sqrt() * noise - (1 - a).sqrt() * batch.latents if is_v else noise
        loss = (answer - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, learnt


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_losses_and_weights_are_those_of_a_plain_loop(files, kind):
    with torch.inference_mode():
        model = load_checkpoint(files[kind])[0]
        with models.denoiser(model) as denoiser:
            learner = Learner(network(), SETTINGS)
            losses = [step.loss for step in train(learner, denoiser, batch_at)]
    expected, learnt = plain_loop(read_file(files[kind], torch.float32))
    assert losses == pytest.approx(expected, rel=1e-5)
    for found, wanted in zip(learner.network.parameters(), learnt.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_sizes_and_pooled_text_reach_the_unet(files):
    model = load_checkpoint(files["eps"])[0]
    batch = batch_at(0, 2)
    times = torch.tensor([10, 10])

    def predict(**changed):
        with models.denoiser(model) as denoiser, torch.no_grad():
            condition = {**batch.condition, **changed}
            condition = {key: value for key, value in condition.items() if value is not None}
            return denoiser.predict(batch.latents, times, condition, None)

    whole = torch.tensor([[64.0, 96, 0, 0, 64, 96]] * 2)
    assert torch.equal(predict(sizes=None), predict(sizes=whole))
    assert not predict().allclose(predict(sizes=None))
    assert not predict().allclose(predict(pooled=batch.condition["pooled"].flip(0)))
    with pytest.raises(ValueError, match="pooled output.*CLIP of the same checkpoint"):
        predict(pooled=None)


def test_a_conditioning_that_names_sizes_keeps_them(files):
    clip = load_checkpoint(files["eps"])[1]
    words = models.conditioning(clip, "a red fox")
    assert models.read_conditioning(words)[0].keys() == {"context", "pooled"}
    words[0][1].update(width=1500, height=900, crop_w=40, crop_h=16)
    (entry,) = models.read_conditioning(words)
    assert entry["sizes"].tolist() == [900, 1500, 16, 40, 900, 1500]
    torch.testing.assert_close(entry["pooled"], words[0][1]["pooled_output"][0])
