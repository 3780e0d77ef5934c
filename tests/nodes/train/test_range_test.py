"""The Learning Rate Range Test, as a graph runs it."""

import pytest
from hypernet_pack import compat
from hypernet_pack.compat.standalone.progress import request_interrupt
from hypernet_pack.nodes.train import range_test
from hypernet_pack.nodes.train.range_test import LearningRateRangeTest

from hypernet.training.presets import AUTO
from hypernet.training.range_test import Band, corrected, read_rates
from hypernet.training.schedule import parse_schedule


def rate_graph(graph, **changes):
    prompt = graph()
    inputs = prompt.pop("train")["inputs"]
    kept = {key: inputs[key] for key in ("model", "clip", "vae", "dataset", "config", "seed")}
    inputs = kept | {
        "name": "style", "rates": "1e-4 to 10", "steps": 20, "batch_size": 2, "accumulation": 1,
        "optimizer": "AdamW", "noise_offset": 0.0,
    }  # fmt: skip
    prompt["test"] = {"class_type": "HypernetRangeTest", "inputs": inputs | changes}
    return prompt


@pytest.fixture
def timesteps_of(host, graph, monkeypatch):
    """A function: how a range test with these inputs would draw its noise levels."""
    asked = []

    def noting(model, spec, material, settings, low, high):
        asked.append(settings.timesteps)
        raise ValueError("That is enough.")

    monkeypatch.setattr(range_test, "try_rates", noting)

    def timesteps(checkpoint=None, **changes):
        prompt = rate_graph(graph, **changes)
        if checkpoint:
            prompt["model"]["inputs"]["ckpt_name"] = str(checkpoint)
        result = host[1](prompt)
        assert "That is enough." in error_of(result)
        return asked.pop()

    return timesteps


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}".replace("\\'", "'")


def files_in(folder):
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not {"temp", "hypernet_cache"} & {*path.parts}
    ]


def test_a_band_a_plot_and_a_schedule_come_out_and_no_network_is_written(host, graph):
    folder, run = host
    result = run(rate_graph(graph))
    assert result.status == "success", error_of(result)
    shown = result.outputs["test"]
    assert len(shown["images"]) == 1 and "lower the loss; auto takes" in shown["text"][0]
    schedule = shown["text"][0].partition("2,000 steps: ")[2]
    assert 1e-5 < parse_schedule(schedule, 2000).rate_at(100) < 1
    assert not files_in(folder / "output") and not files_in(folder / "models")


def test_it_stops_when_the_user_wants_it(host, graph, monkeypatch):
    _folder, run = host
    update, seen = compat.Progress.update, []

    def stopping(self, step, preview=None):
        update(self, step, preview)
        seen.append(step)
        if step == 3:
            request_interrupt()

    monkeypatch.setattr(compat.Progress, "update", stopping)
    assert run(rate_graph(graph)).status == "interrupted"
    assert seen[-1] == 3, "within one step"


def test_noise_levels_are_drawn_as_training_draws_them(timesteps_of, tmp_path):
    pipelines = pytest.importorskip("tiny_models.pipelines")  # of diffusers
    pipelines.pipeline("lumina2").save_pretrained(flow := tmp_path / "flow")
    assert timesteps_of(flow) == timesteps_of(flow, timesteps=AUTO) == "logit-normal"
    assert timesteps_of(flow, timesteps="uniform") == "uniform"
    assert timesteps_of() == timesteps_of(timesteps=AUTO) == "uniform"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(rates="fast"), 'Rates "fast" are not two learning rates'),
        (dict(rates="1e-2 to 1e-7"), "from 0.01 to 1e-07: the rates must rise"),
        (dict(rates="1e-12 to 1e-11"), "No rate from"),
        (dict(loss="L1"), "L1"),
    ],
)
def test_what_cannot_be_tested_is_said_in_words(host, graph, changes, words):
    _folder, run = host
    result = run(rate_graph(graph, **changes))
    assert result.status != "success" and words in error_of(result)


@pytest.mark.parametrize(("rate", "found"), [(1e-7, 1e-6), (1e-5, 1e-5), (1, 1e-3)])
def test_a_rate_is_corrected_only_where_it_does_not_learn(rate, found):
    assert corrected(rate, Band(1e-5, 1e-3), part=0.1) == pytest.approx(found)


def test_two_rates_are_read():
    assert read_rates(" 1e-7 to 1e-2 ") == (1e-7, 1e-2)


def test_it_has_the_settings_of_training_that_decide_about_rates():
    schema = LearningRateRangeTest.define_schema()
    names = {each.id for each in schema.inputs}
    assert {"optimizer", "gradient_clip", "loss", "checkpointing", "offload"} <= names
    assert not names & {"learning_rate", "save_every", "ema"}
