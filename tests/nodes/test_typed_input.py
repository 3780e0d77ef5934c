"""Numbers, tags and prompts that are almost right, in the graph: read, refused or said."""

import pytest
from hypernet_pack.nodes.train.learning_rate import LearningRate
from hypernet_pack.nodes.train.previews.settings import PreviewSettings
from hypernet_pack.nodes.train.train_hypernet import TrainHypernet
from hypernet_pack.nodes.use.hypernets_from_prompt import HypernetPrompt
from PIL import Image


def texts(run, node="train"):
    return "\n".join(run.outputs[node]["text"])


@pytest.mark.parametrize(
    "rate", ["0,00005", "5e-5:1,000", "5e-5:100 5e-6:200", "5e-5:100\n5e-6:200", "0"]
)
def test_case_28_train_refuses_a_rate_that_would_be_misread_when_it_is_queued(host, graph, rate):
    _, run = host
    result = run(graph(learning_rate=rate))
    assert result.status == "invalid"
    assert f'"{rate}"' in result.node_errors["train"]["errors"][0]["details"]
    assert f'"{rate}"' in LearningRate.validate_inputs(learning_rate=rate)


def test_case_28_a_rate_that_never_counts_is_named_where_training_is_watched(host, graph):
    _, run = host
    result = run(graph(steps=2, learning_rate="1e-4, 5e-5:100"))
    assert result.status == "success"
    assert '"5e-5:100" can never count: "1e-4" has no step' in texts(result)


def test_a_warmup_longer_than_the_run_is_shortened_and_said(host, graph):
    _, run = host
    rate = "cosine 3e-4 to 1e-6 warmup 20"  # of first_network_demo
    result = run(graph(steps=3, learning_rate=rate))
    assert result.status == "success"
    assert "A warmup of 20 steps leaves none of 3: it is shortened to 0." in texts(result)
    given = dict(pictures=30, batch_size=1, accumulation=1, optimizer="AdamW")
    _, _, advice, _ = LearningRate.execute(**given, learning_rate=rate, steps=20).result
    assert "Note: A warmup of 20 steps leaves none of 20: it is shortened to 2." in advice


@pytest.mark.parametrize("rate", ["５ｅ－５：１００，1e-6", "5e−5", " 5e-5\u00a0", "cosine 1e−4"])
def test_rates_of_other_keyboards_are_taken(rate):
    assert TrainHypernet.validate_inputs(learning_rate=[rate]) is True
    assert LearningRate.validate_inputs(learning_rate=rate) is True


@pytest.mark.parametrize("tag", ["<hypernet:one:0.5>", "<lora:foo:1>", "＜lora：foo：1＞"])
def test_case_29_tags_are_taken_out_of_the_preview_prompt_and_said_once(host, graph, tag):
    folder, run = host
    told = run(graph(name="tag", steps=2, preview_prompt=f"red dog {tag}", preview_every=2))
    plain = run(graph(name="plain", steps=2, preview_prompt="red dog", preview_every=2))
    assert told.status == plain.status == "success"
    assert texts(told).count(f"Taken out of the prompts of previews: {tag}.") == 1
    assert "Taken out" not in texts(plain)
    pictures = [
        Image.open(folder / "output" / "hypernet" / name / "previews" / f"{name}-2.png")
        for name in ("tag", "plain")
    ]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    assert tag not in pictures[0].text["parameters"] and tag not in pictures[0].text["hypernet"]
    assert pictures[0].text["parameters"].startswith("red dog\n")


def test_a_tag_without_its_end_in_a_preview_prompt_is_refused_with_the_field_named():
    with pytest.raises(ValueError, match='preview_negative: "<lora:foo:1" looks like a tag'):
        PreviewSettings(prompt="heart <lora:foo:1>", negative="<lora:foo:1")


def test_tags_that_hypernets_from_prompt_does_not_apply_are_said_and_stay():
    found = HypernetPrompt.execute(model="model", prompt="a cat <lora:x:1>")
    assert found.result == ("model", "a cat <lora:x:1>")
    (text,) = found.ui.as_dict()["text"]
    assert text.startswith("Left in the prompt as words: <lora:x:1>.")
    assert HypernetPrompt.execute(model="model", prompt="a cat <3").ui is None


def test_case_22_a_tag_without_its_end_is_refused_when_it_is_queued():
    assert "<hypernet:one:1>" in HypernetPrompt.validate_inputs(prompt="a cat <hypernet:one:1")


def test_a_number_that_is_none_is_refused_when_it_is_queued(host, graph):
    _, run = host
    result = run(graph(preview_cfg=float("nan")))
    assert result.status == "invalid"
    assert "preview_cfg: nan is below 0" in result.node_errors["train"]["errors"][0]["details"]


def test_case_27_a_block_list_of_any_keyboard_blocks_and_what_no_caption_has_is_named(host, graph):
    folder, run = host
    for number, words in enumerate(["1girl，red hair，hat", "1girl\nsolo\ngreen hair\nblue hair"]):
        name = f"{number} {('red dog', 'blue cat')[number]}.txt"
        (folder / "input" / "pictures" / name).write_text(words, "utf-8")
    prompt = graph(steps=1, preview_steps=1)
    prompt["words"]["inputs"] |= {
        "block_tags": "red hair, green hair，blue hair、violet hair",
        "replace_tags": "hat → cap",
        "template": "[filewords]",
    }
    report = texts(run(prompt), "words")
    assert report.startswith("1girl, cap\n1girl, solo\n")
    assert 'No caption has 1 of the tags to block or replace: "violet hair".' in report
