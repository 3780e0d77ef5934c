"""A file of another kind under a network's name is called what it is."""

import io
import warnings
import zipfile

import pytest
import torch
from PIL import Image
from safetensors.torch import save, save_file

from hypernet import HypernetSpec, Hypernetwork, open_network, save_network
from hypernet.formats.file_kinds import kind_of
from hypernet.runs.state import save_state, state_of
from hypernet.training.learner import Learner
from hypernet.training.settings import TrainSettings


def a_network():
    return Hypernetwork(HypernetSpec(widths=(8,)))


def torch_bytes(payload, **how):
    file = io.BytesIO()
    torch.save(payload, file, **how)
    return file.getvalue()


def named(*names):
    return {name: torch.zeros(2, 2) for name in names}


def an_archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("style.pt", b"a network")
    return file.getvalue()


def a_picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind)
    return file.getvalue()


def an_embedding():
    """As A1111 saves a textual inversion: its vectors in a class of torch."""
    vectors = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.zeros(2, 8))})
    return {"string_to_token": {"*": 265}, "string_to_param": vectors, "name": "a", "step": 5}


LORA = named("lora_unet_down_blocks_0_attn.lora_up.weight", "lora_unet_down_blocks_0_attn.alpha")
DIFFUSERS_LORA = named("unet.down_blocks.0.attn1.to_q.lora_A.weight", "unet.x.lora.up.weight")
CHECKPOINT = named(
    "model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight",
    "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
)  # fmt: skip
VAE = named("encoder.conv_in.weight", "decoder.mid.block_1.conv1.weight")
KINDS = [
    ("empty", b"", "an empty file"),
    ("page", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page (HTML)"),
    ("page without its type", b"\n  <HTML lang=en>", "a web page (HTML)"),
    (
        "pointer",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "a Git LFS pointer",
    ),
    ("answer", b'{"error": "Invalid credentials"}', "a text"),
    ("words", b"no network at all" * 500, "a text"),
    ("Chinese words", "没有这个文件".encode() * 700, "a text"),
    ("zip", an_archive(), "a packed archive"),
    ("gzip", b"\x1f\x8b\x08\x00" + bytes(100), "a packed archive"),
    ("png", a_picture("PNG"), "a picture"),
    ("jpeg", a_picture("JPEG"), "a picture"),
    ("webp", a_picture("WEBP"), "a picture"),
    ("gguf", b"GGUF\x03\0\0\0" + bytes(100), "a GGUF model"),
    ("lora", save(LORA), "a LoRA"),
    ("lora of diffusers", save(DIFFUSERS_LORA), "a LoRA"),
    ("lora in a pickle", torch_bytes(LORA), "a LoRA"),
    ("checkpoint", save(CHECKPOINT), "a whole checkpoint"),
    ("old checkpoint", torch_bytes({"state_dict": CHECKPOINT}), "a whole checkpoint"),
    ("vae", save(VAE), "a VAE"),
    ("vae in a pickle", torch_bytes({"state_dict": VAE}), "a VAE"),
    ("embedding", torch_bytes(an_embedding()), "a textual inversion (embedding)"),
    ("embedding of today", save(named("emb_params")), "a textual inversion (embedding)"),
    ("embedding of SDXL", save(named("clip_l", "clip_g")), "a textual inversion (embedding)"),
    ("controlnet", save(named("control_model.input_blocks.0.0.weight")), "a ControlNet"),
    ("unet", save(named("down_blocks.0.resnets.0.conv1.weight")), "a diffusion model without"),
    ("text", save(named("text_model.encoder.layers.0.mlp.fc1.weight")), "a text encoder"),
    ("upscaler", torch_bytes(named("body.0.rdb1.conv1.weight")), "an upscale model"),
    (
        "before torch 1.6",
        torch_bytes(CHECKPOINT, _use_new_zipfile_serialization=False),
        "a whole checkpoint",
    ),
]


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize(("content", "kind"), [row[1:] for row in KINDS], ids=[r[0] for r in KINDS])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, ending, content, kind):
    path = tmp_path / f"style{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError) as fault:
        open_network(path)
    said = str(fault.value)
    assert said.startswith(f'"{path}" cannot be read as a hypernetwork: it is {kind}')
    assert said.count(". ") == 1 and said.endswith("."), "then what to do, in a sentence"
    assert not any(word in said for word in ("opcode", "pickle", "header"))


def test_a_run_s_state_is_called_what_it_is(tmp_path):
    network = a_network()
    learner = Learner(network, TrainSettings())
    save_state(tmp_path, state_of(network, learner, {}, {}))
    with pytest.raises(ValueError, match="it is the state of a training run. Load one of the num"):
        open_network(tmp_path / "state.pt")


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_network_with_the_wrong_ending_should_be_renamed(tmp_path, ending):
    path = save_network(a_network(), tmp_path / f"style{ending}")
    other = {".pt": ".safetensors", ".safetensors": ".pt"}[ending]
    words = f'another name. Rename it so that it ends in "{ending}"'
    with pytest.raises(ValueError, match=words):
        open_network(path.rename(path.with_suffix(other)))


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_network_is_not_taken_for_another_kind_even_if_damaged(tmp_path, ending):
    path = save_network(a_network(), tmp_path / f"style{ending}")
    whole = path.read_bytes()
    for length in (9, 30, 100, len(whole) // 2, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:length])
        assert kind_of(path) is None, length


def test_a_safetensors_file_of_something_else_is_named_by_a_tensor(tmp_path):
    save_file(named("mystery.weight"), tmp_path / "style.safetensors")
    with pytest.raises(ValueError, match='it holds a tensor "mystery.weight"'):
        open_network(tmp_path / "style.safetensors")


def test_huge_and_hostile_files_are_examined_quickly(tmp_path):
    path = tmp_path / "a.pt"
    nested = b"[" * 100_000
    for content in (
        (len(nested)).to_bytes(8, "little") + b"{" + nested,
        (2**39).to_bytes(8, "little") + b'{"a": 1}',
        b"\x80\x02X\xff\xff\xff\x7f" + b"a" * 50,
        b"PK\x03\x04" + bytes(50) + b"PK\x05\x06" + b"\xff" * 18,
        b"\x80\x02" + b"(" * 100_000,
    ):
        path.write_bytes(content)
        kind_of(path)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_of_other_protocols_are_refused_without_a_warning(tmp_path, protocol, zipped):
    payload = torch.load(save_network(a_network(), tmp_path / "good.pt"), weights_only=True)
    path = tmp_path / "style.pt"
    path.write_bytes(
        torch_bytes(payload, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words = "of protocol 3, and torch writes 2" if protocol == 3 else "which no file of weights"
        with pytest.raises(ValueError, match=words):
            open_network(path)
