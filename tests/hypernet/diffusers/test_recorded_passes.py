"""What a CUDA graph can hold of a pass: no value is read, and nothing travels from the CPU.

Shown on the meta device, which has no values. A model's first pass is not watched: some make tables
in it that they keep.
"""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

pytest.importorskip("diffusers")
import tiny_models
from tiny_models.trained import FAMILIES, batch_for, spec_for

from hypernet import Hypernetwork
from hypernet.diffusers.denoiser import denoiser as denoiser_of_unet
from hypernet.diffusers.transformer import transformer_denoiser
from hypernet.diffusers.unet import patched_attention
from hypernet.training.diffusion import TOKENS, Batch
from hypernet.training.learner import Learner
from hypernet.training.parallel import ALONE
from hypernet.training.passes import Sources, add_gradients, passes_of
from hypernet.training.settings import TrainSettings

META = torch.device("meta")
SETTINGS = TrainSettings(steps=1, batch_size=2, preserve=1.0, min_snr_gamma=5.0, noise_offset=0.1)
# Chroma tells its guidance from the CPU each time, Lumina 2 reads the values of its mask, HiDream
# chooses experts by values: these are computed as ever. The others ask for autocast, which the meta
# device lacks.
NOT_SHOWN = "chroma", "lumina2", "hidream", "flux2", "ernie"


class Travels(TorchDispatchMode):
    """Collects the operations with tensors on the CPU and on the model's device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        answer = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, answer))
        if len({each.device for each in leaves if torch.is_tensor(each)}) > 1:
            self.found.append(str(func))
        return answer


def watched(model, denoising, latents, condition):
    """What travels in the passes of a model on the meta device: to learn, and to preserve."""
    learner = Learner(Hypernetwork(spec_for(model)).to(META), SETTINGS)
    batch = Batch(latents, condition)
    sources = Sources(lambda first, number: batch, lambda turn: batch)
    with denoising as denoiser, Travels() as travels:
        passes = [*passes_of(learner, denoiser, sources, 0, ALONE)]
        for each in passes:
            add_gradients(learner, denoiser, each, each.inputs)
        travels.found.clear()
        for each in passes:
            add_gradients(learner, denoiser, each, each.inputs)
    assert len(passes) == 2
    return travels.found


@pytest.mark.parametrize("lengths", [(7, 7), (7, 5)], ids=str)
@pytest.mark.parametrize("name", [each for each in FAMILIES if each not in NOT_SHOWN])
def test_in_a_pass_of_a_transformer_nothing_is_read_and_nothing_travels(name, lengths):
    model, (latents, condition) = batch_for(name, samples=2)
    if lengths[0] != lengths[1]:
        condition = condition | {"context" + TOKENS: torch.tensor(lengths)}
    denoising = transformer_denoiser(model.to(META), META)
    assert not watched(model, denoising, latents, condition)


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize("pooled", [0, 8])
def test_in_a_pass_of_a_unet_nothing_is_read_and_nothing_travels(pooled, sizes):
    changes = {
        "addition_embed_type": "text_time", "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": pooled + 24,
    }  # fmt: skip
    unet, _ = tiny_models.build("unet", **changes if pooled else {})
    condition = {"context": torch.randn(2, 7, unet.config.cross_attention_dim)}
    condition |= {"pooled": torch.randn(2, pooled)} if pooled else {}
    condition |= {"sizes": torch.full((2, 6), 64.0)} if sizes else {}
    with patched_attention(unet):
        denoising = denoiser_of_unet(unet.to(META), torch.linspace(0.99, 0.01, 1000), "eps", META)
        assert not watched(unet, denoising, torch.randn(2, 4, 8, 8), condition)
