"""What the editor says that Run will do is what it then does."""

import json

import pytest
from hypernet_pack import compat
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.progress import request_interrupt
from hypernet_pack.nodes.editor import ROUTES
from hypernet_pack.nodes.train.names.naming import ADD, GO_ON, STOP
from hypernet_pack.nodes.train.train_hypernet import TrainHypernet

SHORT = dict(steps=4, batch_size=1, accumulation=1, save_every=0, preview_steps=1)
SHORT |= dict(learning_rate="1e-3")
DEFAULTS = {i.id: i.default for i in TrainHypernet.define_schema().inputs if hasattr(i, "default")}


@pytest.fixture
def places(host):
    folder, _ = host
    return dict(input=folder / "input", output=folder / "output", models=folder / "models")


@pytest.fixture
def train(host, graph):
    """train(**changes): what the node says when it has run."""
    _, run = host

    def do(**changes):
        result = run(graph(**SHORT | changes))
        told = result.outputs.get("train", {}).get("text", [str(result.error or "")])
        return result.status, "".join(told)

    return do


@pytest.fixture
def foretold(places, graph):
    """foretold(**changes): (what is said of Run, its choices by what they do)."""

    def ask(known=True, config=None, **changes):
        prompt = graph(**SHORT | changes)
        inputs = prompt["train"]["inputs"]
        widgets = DEFAULTS | {n: v for n, v in inputs.items() if not isinstance(v, list)}
        naming = ("name", "resume", "if_taken", "continue_from")
        body = {name: widgets[name] for name in naming}
        body |= {"settings": widgets if known else {}}
        typed = prompt["config"]["inputs"] | (config or {})
        body |= {"config": {n: v for n, v in typed.items() if n not in ("seed", "model")}}
        with folders.configured(**places):
            found = ROUTES["POST", "/hypernet/forecast"]({}, json.loads(json.dumps(body)))
        assert isinstance(found["notes"], list)
        return found["said"], {each["what"]: each["set"] for each in found["choices"]}

    return ask


def interrupted(train, monkeypatch, step, **changes):
    update = compat.Progress.update

    def stopping(self, done, preview=None):
        update(self, done, preview)
        if done == step and self._total > 2:  # the training's bar, and no sampler's
            request_interrupt()

    with monkeypatch.context() as patched:
        patched.setattr(compat.Progress, "update", stopping)
        assert train(**changes)[0] == "interrupted"


def test_a_free_name_is_trained_anew(foretold):
    assert foretold() == ('Run trains "style" anew.', {})


def test_a_trained_one_is_loaded_if_nothing_has_changed(train, foretold):
    train()
    said, choices = foretold()
    assert said == (
        'Run loads "style", trained already for 4 updates, if model, pictures and words are the '
        "same."
    )
    assert choices == {"anew": {"name": "style_2"}}
    assert "is trained already (4 updates): loaded" in train()[1]
    assert foretold(**choices["anew"]) == ('Run trains "style_2" anew.', {})


def test_other_settings_get_a_number_and_may_go_on_instead(train, foretold):
    train()
    said, choices = foretold(steps=6)
    assert said.startswith('"style" is taken by a network trained with steps 4 (now 6)')
    assert said.endswith('this one is saved as "style_2".')
    assert choices == {"further": {"if_taken": GO_ON}}
    further = foretold(steps=6, **choices["further"])
    assert further[0] == '"style" is trained further, and saved as "style_2".'
    assert further[1] == {"anew": {"name": "style_2"}}
    assert further[0] in train(steps=6, if_taken=GO_ON)[1]
    assert 'Run loads "style_2"' in foretold(steps=6, if_taken=GO_ON)[0]


def test_an_unfinished_one_goes_on_where_it_was(train, foretold, monkeypatch):
    interrupted(train, monkeypatch, 3)
    said, choices = foretold()
    assert said == 'Run goes on with "style" after 3 updates.'
    assert choices == {"anew": {"name": "style_2"}}
    said, choices = foretold(resume=False)
    assert '"style" is an unfinished run of 3 updates, and resume is off' in said
    assert choices == {"resume": {"resume": True}}


def test_where_the_training_would_refuse_its_sentence_is_said_with_ways_out(train, foretold):
    train()
    said, choices = foretold(seed=1, if_taken=STOP)
    status, refusal = train(seed=1, if_taken=STOP)
    assert status == "error" and said.startswith("Run will stop: ")
    assert said.removeprefix("Run will stop: ") in refusal
    assert choices == {"anew": {"name": "style_2"}}


def test_what_is_not_known_counts_as_it_was(train, foretold):
    train()
    assert foretold(known=False, seed=5)[0].startswith('Run loads "style"')
    assert foretold(batch_size=0)[0].startswith('Run loads "style"')  # as it fits the pictures
    said, _ = foretold(steps=0, preset="guide")  # which has as many on every model
    assert "steps 4 (now 10000)" in said


def test_another_shape_is_seen_where_it_is_typed(train, foretold):
    train()
    assert "activation mish (now relu)" in foretold(config={"activation": "relu"})[0]
    assert foretold(config={"weight_initialization": "auto"})[0].startswith("Run loads")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(name="../ink"), "../ink"),
        (dict(if_taken="perhaps"), 'if_taken "perhaps": choose one of add a number'),
        (dict(learning_rate="fast"), "fast"),
    ],
)
def test_what_is_not_possible_is_refused(foretold, changes, words):
    with pytest.raises(ValueError, match=words):
        foretold(**{"if_taken": ADD} | changes)
