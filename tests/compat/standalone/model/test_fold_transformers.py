"""Folding into the transformers of diffusers, and LoRA files of them, in the stand-in."""

import pytest
import tiny_models
import torch
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.lora import with_lora
from hypernet_pack.compat.standalone.model.patched_model import LatentDiffusion, Model

from hypernet import HypernetSpec, Hypernetwork, Record
from hypernet.apply.effect import Effect
from hypernet.apply.fold import weight_changes
from hypernet.apply.lora_file import save_lora, to_lora
from hypernet.apply.site_patches import SitePatch, applied
from hypernet.families import take_census

FAMILIES = ("flux", "flux2", "z_image", "qwen_image", "wan", "cosmos_predict2")
STRENGTH = 0.7


class Case:
    """A tiny transformer in the stand-in's Model, a network for it, and what they draw."""

    def __init__(self, family):
        self.module, self.inputs = tiny_models.build(family)
        self.model = Model(LatentDiffusion(self.module, None, 1.0), torch.device("cpu"), family)
        self.census = take_census(self.module)
        places = [(s, width) for s, widths in self.census.widths().items() for width in widths]
        spec = HypernetSpec(
            places=tuple(places), layer_structure=(1, 0.25, 1), bias=False,
            weight_initialization="XavierNormal",
        )  # fmt: skip
        record = Record(name="style", architecture=self.census.architecture)
        self.network = Hypernetwork(spec, record)
        patch = SitePatch(self.network, Effect(strength=STRENGTH))
        self.bare = self.drawn(self.model)
        with applied(self.module, self.census.sites, [patch], {}):
            self.right = self.drawn(self.model)

    @torch.no_grad()
    def drawn(self, model):
        with model.loaded():
            found = self.module(**self.inputs)[0]
        return torch.stack(found) if isinstance(found, list) else found

    def is_right(self, model):
        found = self.drawn(model)
        assert float((self.right - self.bare).norm() / self.right.norm()) > 1e-3
        return float((self.right - found).norm() / self.right.norm()) < 1e-5


@pytest.fixture(scope="module", params=FAMILIES)
def case(request):
    return Case(request.param)


def test_a_folded_network_does_what_the_applied_one_does(case):
    changes = dict(weight_changes(models.attention_weights(case.model), [(case.network, STRENGTH)]))
    assert case.is_right(models.with_weight_changes(case.model, changes))
    assert case.drawn(case.model).equal(case.bare)


def test_its_lora_file_does_so_too(case, tmp_path):
    blocks = models.attention_weights(case.model)
    lora = to_lora(blocks, case.network, STRENGTH, numbers="float32")
    assert all(name.startswith("transformer.") for name in lora.tensors)
    assert case.is_right(with_lora(case.model, save_lora(lora, tmp_path / "a.safetensors"), 1.0))
