"""LoRAs, VAE files, clip skip and kinds of prediction in the stand-in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.graph.node_class import locked_clone
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.lora import _layers, with_lora
from hypernet_pack.compat.standalone.nodes.loaders import MODEL_NODES
from safetensors.torch import load_file, save_file

from hypernet.apply.fold import weight_changes
from hypernet.apply.lora_file import save_lora, to_lora
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.network.spec import HypernetSpec

NODES = {node.GET_SCHEMA().node_id: node for node in MODEL_NODES}
LAYER = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v"
ORIGINAL = "middle_block.1.transformer_blocks.0.attn2.to_v"
WIDTHS = (64, 80)  # of that weight (out, in)


def original_files():
    file = Path(__file__).parents[1] / "model" / "original_files.py"
    spec = importlib.util.spec_from_file_location("original_files", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return original_files().write(tmp_path_factory.mktemp("models") / "a.safetensors", "sdxl")


@pytest.fixture(scope="module")
def loaded(file: Path) -> tuple:
    with torch.inference_mode():
        return load_checkpoint(file)


def run(node_id: str, **inputs):
    with torch.inference_mode():
        return locked_clone(NODES[node_id], {}).execute(**inputs)[0]


def predict(model) -> torch.Tensor:
    chance = torch.Generator().manual_seed(1)
    noisy = torch.randn(1, 4, 8, 8, generator=chance)
    context = torch.randn(1, 77, 80, generator=chance)
    condition = {"context": context, "pooled": torch.ones(1, 48)}
    with models.denoiser(model) as denoiser, torch.no_grad():
        return denoiser.predict(noisy, torch.tensor([500]), condition, None)


UP, DOWN = torch.randn(WIDTHS[0], 3), torch.randn(3, WIDTHS[1])


def flat(name: str) -> str:
    return "lora_unet_" + name.replace(".", "_")


SPELLINGS = {
    "kohya, diffusers' blocks": {
        f"{flat(LAYER)}.lora_up.weight": UP,
        f"{flat(LAYER)}.lora_down.weight": DOWN,
        f"{flat(LAYER)}.alpha": torch.tensor(3.0),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": UP.clone(),
    },
    "kohya, original blocks": {
        f"{flat(ORIGINAL)}.lora_up.weight": UP,
        f"{flat(ORIGINAL)}.lora_down.weight": DOWN * 2,
        f"{flat(ORIGINAL)}.alpha": torch.tensor(1.5),
    },
    "peft": {f"unet.{LAYER}.lora_A.weight": DOWN, f"unet.{LAYER}.lora_B.weight": UP},
    "ComfyUI": {
        f"diffusion_model.{ORIGINAL}.lora_down.weight": DOWN,
        f"diffusion_model.{ORIGINAL}.lora_up.weight": UP,
    },
    "whole": {f"{flat(LAYER)}.diff": UP @ DOWN},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_lora_is_applied_however_its_names_are_spelt(loaded, tmp_path, spelling):
    model, path = loaded[0], tmp_path / "loras" / "a.safetensors"
    path.parent.mkdir()
    save_file(SPELLINGS[spelling], path)
    with folders.configured(models=tmp_path):
        assert NODES["LoraLoaderModelOnly"].GET_SCHEMA().inputs[1].options == ["a.safetensors"]
        changed = run("LoraLoaderModelOnly", model=model, lora_name="a.safetensors",
                      strength_model=0.5)  # fmt: skip
        off = run("LoraLoaderModelOnly", model=model, lora_name="a.safetensors", strength_model=0.0)
    before = predict(model)
    weight = model.module.get_parameter(f"{LAYER}.weight")
    stored = weight.clone()
    found = predict(changed)
    assert torch.equal(weight, stored), "it comes back"
    assert torch.equal(predict(off), before)
    try:
        weight.data = stored + 0.5 * UP @ DOWN
        expected = predict(model)
    finally:
        weight.data = stored
    torch.testing.assert_close(found, expected)
    assert not found.allclose(before)


def test_every_original_name_finds_the_layer_with_its_weight(file, loaded):
    unet, layers = loaded[0].module, dict(_layers(loaded[0].module))
    prefix, tried = "model.diffusion_model.", 0
    for name, weight in load_file(file).items():
        layer = name.removeprefix(prefix).removesuffix(".weight")
        if not name.startswith(prefix) or not name.endswith(".weight"):
            continue
        found = unet.get_parameter(f"{layers[layer.replace('.', '_')]}.weight")
        assert torch.equal(found, weight.float().reshape(found.shape)), layer
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("rank", [0, 64], ids=["whole", "thin"])
def test_a_network_saved_as_a_lora_has_the_effect_of_folding(loaded, tmp_path, rank):
    model = loaded[0]
    network = Hypernetwork(
        HypernetSpec(widths=(64, 80), weight_initialization="XavierNormal", seed=1)
    )
    blocks = list(models.attention_weights(model))
    lora = to_lora(blocks, network, rank=rank, numbers="float32")
    path = save_lora(lora, tmp_path / "style.safetensors")
    changes = dict(weight_changes(blocks, [(network, 1.0)]))
    folded = models.with_weight_changes(model, changes)
    torch.testing.assert_close(
        predict(with_lora(model, path, 1.0)), predict(folded), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"lora_te_text_model_x.lora_up.weight": UP}, "none of the layers.*of a text model"),
        ({"lora_unet_double_blocks_0_x.lora_up.weight": UP}, "none of the layers.*double_blocks_0"),
        ({f"{flat(LAYER)}.hada_w1_a": UP}, "not a plain LoRA: it has .*hada_w1_a.*LoHa"),
        (
            {f"{flat(LAYER)}.lora_up.weight": UP, f"{flat(LAYER)}.lora_down.weight": DOWN[:, :9]},
            r"to_v has \[64, 80\], the file .*down \[3, 9\]",
        ),
        ({f"{flat(LAYER)}.lora_up.weight": UP}, r"does not fit.*up \[64, 3\]"),
        ({f"{flat(LAYER)}.diff_b": torch.zeros(64)}, "does not fit"),  # to_v has no bias
    ],
    ids=["text", "other model", "LoHa", "other width", "half", "no bias"],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(loaded, tmp_path, tensors, words):
    path = tmp_path / "a.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    with pytest.raises(ValueError, match=words) as caught:
        with_lora(loaded[0], path, 1.0)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_a_vae_is_loaded_from_a_separate_file(file, loaded, tmp_path, prefix):
    mine = {
        prefix + name.removeprefix("first_stage_model."): weight
        for name, weight in load_file(file).items()
        if name.startswith("first_stage_model.")
    }
    (tmp_path / "vae").mkdir()
    save_file(mine, tmp_path / "vae" / "a.safetensors")
    picture = torch.rand(1, 16, 16, 3)
    with folders.configured(models=tmp_path):
        vae = run("VAELoader", vae_name="a.safetensors")
        assert "a.safetensors" in NODES["VAELoader"].validate_inputs(vae_name="b.safetensors")
    assert torch.equal(vae.encode(picture), loaded[2].encode(picture))


def test_a_file_that_is_no_vae_is_refused(tmp_path):
    save_file({"encoder.down_blocks.0.x": UP}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"holds no VAE.*encoder\.down_blocks\.0\.x"):
        run("VAELoader", vae_name=str(tmp_path / "a.safetensors"))


def test_clip_skip_reads_an_earlier_layer(loaded):
    clip = loaded[1]
    usual, second, first = (
        models.conditioning(each, "a fox")[0][0]
        for each in (
            clip,
            run("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-2),
            run("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-1),
        )
    )
    assert torch.equal(usual, second), "SDXL is read at the last layer but one"
    assert not usual.allclose(first)
    beyond = run("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-24)
    assert torch.equal(models.conditioning(beyond, "a fox")[0][0], first), "as in ComfyUI"


def test_a_model_is_told_what_it_predicts(loaded):
    model = loaded[0]
    velocity = run("ModelSamplingDiscrete", model=model, sampling="v_prediction", zsnr=True)
    with models.denoiser(velocity) as denoiser:
        assert denoiser.prediction == "v"
        assert denoiser.levels.signal[-1] == pytest.approx(4.897e-8, rel=1e-3)
    with models.denoiser(model) as denoiser:
        assert denoiser.prediction == "eps"
    assert velocity.module is model.module
