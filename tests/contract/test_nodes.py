"""Our nodes do the same in both hosts: what they refuse, what they change, what they write."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import prompts
import pytest
import torch
from hosts import Host
from PIL import Image
from prompts import node

from hypernet.formats.networks import open_network, save_network
from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.network.spec import HypernetSpec

STEPS = 2


@pytest.fixture(scope="module", autouse=True)
def pictures(host: Host) -> Path:
    folder = host.input_folder / "squares"
    folder.mkdir(exist_ok=True)
    for name, colour in (("red", (200, 30, 30)), ("green", (30, 180, 60))):
        Image.new("RGB", (prompts.PIXELS, prompts.PIXELS), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"a {name} square", "utf-8")
    return folder


def write_network(host: Host, name: str, seed: int, widths: tuple[int, ...] = ()) -> None:
    """A network that changes something: its weights are drawn wide."""
    spec = HypernetSpec(
        widths=widths or (host.text_width,),
        layer_structure=(1, 1),
        weight_initialization="XavierNormal",
        seed=seed,
    )
    network = Hypernetwork(spec, Record(name=name, step=1))
    save_network(network, host.network_folder / f"{name}.pt", overwrite=True)


def training(host: Host, name: str) -> dict[str, dict]:
    return prompts.base(host.checkpoint) | {
        "dataset": node(
            "HypernetLoadDataset",
            folder="squares",
            width=prompts.PIXELS,
            height=prompts.PIXELS,
            subfolders=True,
            unreadable="stop",
        ),
        "caption": node(
            "HypernetCaption",
            dataset=["dataset", 0],
            source="sidecar, then file name",
            fixed_text="",
            template="a picture of [filewords]",
        ),
        "config": node(
            "HypernetConfig",
            layer_structure="1, 2, 1",
            activation="relu",
            weight_initialization="Normal",
            layer_norm=False,
            dropout_structure="",
            activate_output=False,
            widths=str(host.text_width),
            seed=1,
        ),
        "train": node(
            "HypernetTrain",
            model=["loader", 0],
            clip=["loader", 1],
            vae=["loader", 2],
            dataset=["caption", 0],
            config=["config", 0],
            name=name,
            steps=STEPS,
            learning_rate="1e-3",
            batch_size=2,
            accumulation=1,
            seed=1,
            save_every=0,
            resume=True,
            preview_prompt="",
            preview_steps=1,
            preview_cfg=2.0,
        ),
    }


def application(host: Host, network: str, strength: float = 1.0) -> dict[str, dict]:
    return prompts.base(host.checkpoint) | {
        "network": node("HypernetLoad", name=network),
        "apply": node(
            "HypernetApply", model=["loader", 0], hypernet=["network", 0], strength=strength
        ),
        "sampled": prompts.sampler(["apply", 0]),
        "shown": node("HypernetTestLatent", latent=["sampled", 0]),
    }


def latents(host: Host, prompt: dict) -> torch.Tensor:
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    return torch.tensor(json.loads(outcome.text("shown")))


WRONG = [
    # node, its input, the value, what kind of error, words of the message
    ("apply", "strength", 11.0, "value_bigger_than_max", ""),
    ("apply", "strength", None, "required_input_missing", "strength"),
    ("apply", "hypernet", ["loader", 0], "return_type_mismatch", "HYPERNET"),
    ("network", "name", "no such.pt", "custom_validation_failed", 'no hypernetwork "no such.pt"'),
    ("train", "steps", -1, "value_smaller_than_min", ""),
    ("train", "steps", "many", "invalid_input_type", "many"),
    ("train", "name", "../b", "custom_validation_failed", "../b"),
    ("train", "learning_rate", "1e-3:oops", "custom_validation_failed", "oops"),
    ("config", "activation", "relux", "value_not_in_list", "relux"),
    ("config", "layer_structure", "2, 1", "custom_validation_failed", '"2, 1"'),
    ("dataset", "folder", "no such folder", "custom_validation_failed", "no such folder"),
    ("dataset", "folder", " ", "custom_validation_failed", "empty"),
]


@pytest.mark.parametrize(("where", "name", "value", "kind", "words"), WRONG)
def test_wrong_input_is_refused_before_anything_runs(
    host: Host, where: str, name: str, value: object, kind: str, words: str
):
    write_network(host, "any", seed=0)
    whole = training(host, "refused") | application(host, "any.pt")
    prompt = copy.deepcopy(whole)
    if value is None:
        del prompt[where]["inputs"][name]
    else:
        prompt[where]["inputs"][name] = value
    sinks = {"apply": "train", "network": "train"}.get(where, "shown")
    del prompt[sinks]  # so that nothing else is left to run
    outcome = host.run(prompt)
    assert outcome.status == "invalid"
    errors = outcome.node_errors[where]["errors"]
    assert [error["type"] for error in errors] == [kind]
    assert errors[0]["extra_info"]["input_name"] == name
    assert words in errors[0]["details"], errors


def test_each_of_several_faults_stands_on_its_own_input(host: Host):
    prompt = training(host, "../ink")
    prompt["train"]["inputs"] |= {"learning_rate": "fast", "continue_from": "no such.pt"}
    outcome = host.run(prompt)
    assert outcome.status == "invalid"
    found = {
        error["extra_info"]["input_name"]: error["details"]
        for error in outcome.node_errors["train"]["errors"]
    }
    assert found.keys() == {"name", "learning_rate", "continue_from"}
    for name, words in [("name", "../ink"), ("learning_rate", "fast"), ("continue_from", "such")]:
        assert found[name].startswith(f"{name} - ") and words in found[name]
        sentence = found[name].removeprefix(f"{name} - ")
        assert outcome.error["details"].count(sentence) == 1, "once for the whole graph, too"
    assert len(outcome.node_errors["train"]["errors"]) == 3


def test_strength_zero_changes_nothing_and_one_changes_the_picture(host: Host):
    write_network(host, "strong", seed=1)
    plain = application(host, "strong.pt")
    plain["sampled"] = prompts.sampler(["loader", 0])
    expected = latents(host, plain)
    torch.testing.assert_close(latents(host, application(host, "strong.pt", 0.0)), expected)
    changed = latents(host, application(host, "strong.pt", 1.0))
    assert (changed - expected).abs().max() > 1e-3
    torch.testing.assert_close(latents(host, plain), expected)


def test_networks_chain_in_order(host: Host):
    for name, seed in (("first", 1), ("second", 2)):
        write_network(host, name, seed=seed)
    results = []
    for order in (["first"], ["first", "second"], ["second", "first"]):
        prompt = application(host, "first.pt")
        model = ["loader", 0]
        for name in order:
            prompt[f"{name} loaded"] = node("HypernetLoad", name=f"{name}.pt")
            prompt[name] = node(
                "HypernetApply", model=model, hypernet=[f"{name} loaded", 0], strength=1.0
            )
            model = [name, 0]
        prompt["sampled"] = prompts.sampler(model)
        results.append(latents(host, prompt))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (results[i] - results[j]).abs().max() > 1e-4, (i, j)


def test_a_file_that_has_changed_is_read_again(host: Host):
    write_network(host, "fresh", seed=1)
    before = latents(host, application(host, "fresh.pt"))
    write_network(host, "fresh", seed=2)
    after = latents(host, application(host, "fresh.pt"))
    assert (before - after).abs().max() > 1e-4


def test_a_network_for_other_widths_is_refused_with_both_lists(host: Host):
    write_network(host, "foreign", seed=1, widths=(999,))
    outcome = host.run(application(host, "foreign.pt"))
    assert outcome.status == "error"
    assert outcome.error["node_id"] == "apply"
    assert "ValueError" in outcome.error["exception_type"]
    for word in ("foreign", "999", str(host.text_width)):
        assert word in outcome.message


def test_a_missing_tagger_is_said_with_the_file_and_its_place(host: Host):
    prompt = training(host, "untagged")
    prompt["caption"]["inputs"] |= {
        "source": "tagger only",
        "tagger": "DeepDanbooru",
        "tagger.model": "(none found)",
        "tagger.general_threshold": 0.5,
    }
    outcome = host.run(prompt)
    assert outcome.status == "error", outcome
    assert "model-resnet_custom_v3.pt" in outcome.message
    assert str(host.base / "models" / "deepdanbooru") in outcome.message


def test_words_that_change_from_step_to_step_train(host: Host):
    prompt = training(host, "shuffled")
    prompt["caption"]["inputs"] |= {"tagger": "none", "existing": "keep", "trigger_word": "sks"}
    prompt["words"] = node(
        "HypernetWords",
        dataset=["caption", 0],
        template_file="",
        shuffle=True,
        keep_first=1,
        tag_dropout=0.2,
        caption_dropout=0.2,
        variants=4,
        weights="*red* = 0.5",
    )
    prompt["train"]["inputs"]["dataset"] = ["words", 0]
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    left = host.output_folder / "hypernet" / "shuffled"
    manifest = json.loads((left / "manifest.json").read_text("utf-8"))
    assert manifest["dataset"]["words"]["keep_first"] == 1
    assert sorted(item["repeats"] for item in manifest["dataset"]["items"]) == [1, 2]


@pytest.fixture(scope="module")
def trained(host: Host, pictures: Path):
    prompt = training(host, "trained")
    prompt["save"] = node("HypernetSave", hypernet=["train", 0], name="copy")
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    return outcome


def test_training_leaves_a_network_in_the_first_folder(host: Host, trained):
    (path,) = trained.shown["train"]["saved"]
    assert Path(path) == host.network_folder / "trained.pt"
    network = open_network(path)
    assert network.record.step == STEPS
    assert network.record.name == "trained"
    assert network.record.sd_checkpoint_name == host.checkpoint
    assert network.spec.widths == (host.text_width,)
    assert any(
        weight.abs().max() > 0
        for name, weight in network.named_parameters()
        if name.endswith("bias")
    ), "biases begin as zeros"


def test_a_trained_network_can_be_saved_under_another_name_and_applied(host: Host, trained):
    first, copy_of_it = (
        open_network(host.network_folder / f"{name}.pt") for name in ("trained", "copy")
    )
    for a, b in zip(first.parameters(), copy_of_it.parameters(), strict=True):
        assert torch.equal(a, b)
    latents(host, application(host, "copy.pt"))


def test_training_shows_its_preview_and_leaves_a_loss_log(host: Host, trained):
    assert len(trained.shown["train"]["images"]) == 1
    lines = (host.output_folder / "hypernet" / "trained" / "loss.csv").read_text().splitlines()
    assert len(lines) == STEPS + 1


def test_an_existing_file_is_never_overwritten(host: Host, trained):
    path = host.network_folder / "trained.pt"
    before = path.read_bytes()
    prompt = training(host, "trained")
    prompt["train"]["inputs"]["seed"] = 2
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error
    assert path.read_bytes() == before
    assert (host.network_folder / "trained_2.pt").is_file()
    prompt["train"]["inputs"] |= {"seed": 3, "if_taken": "stop"}
    outcome = host.run(prompt)
    assert outcome.status == "error"
    assert '"trained" is taken' in outcome.message
    assert path.read_bytes() == before


def test_the_same_seed_trains_the_same_network(host: Host, trained):
    outcome = host.run(training(host, "twin"))
    assert outcome.status == "success", outcome.error
    first, twin = (open_network(host.network_folder / f"{name}.pt") for name in ("trained", "twin"))
    for a, b in zip(first.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)
