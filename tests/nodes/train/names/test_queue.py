"""Two trainings of one name in the queue: the second is told when it is queued."""

import pytest
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.routes import Editors, speaking_to
from hypernet_pack.nodes.train import live
from hypernet_pack.nodes.train.train_hypernet import TrainHypernet


@pytest.fixture
def queued(tmp_path):
    """queued(names in the queue, **inputs): what validation says, and what editors hear."""
    places = dict(input=tmp_path / "input", output=tmp_path / "output", models=tmp_path / "models")

    def ask(waiting, running=(), **inputs):
        prompts = [{"7": {"class_type": "HypernetTrain", "inputs": {"name": n}}} for n in waiting]
        heard = []
        editors = Editors(lambda name, data: heard.append((name, data)), lambda: prompts)
        with folders.configured(**places), speaking_to(editors):
            live.running().update({training.name: training for training in running})
            said = TrainHypernet.validate_inputs(**{key: [value] for key, value in inputs.items()})
        return said, heard

    return ask


def test_nobody_hears_anything_where_no_other_of_the_name_is_queued(queued):
    assert queued([], name="ink") == (True, [])
    assert queued(["style", ["5", 0], "", "ink_2"], name="ink") == (True, [])


@pytest.mark.parametrize(
    ("waiting", "name"), [(["ink"], "ink_2"), (["ink", "other", " ink.pt "], "ink_3")]
)
def test_the_owner_hears_which_name_it_will_get(queued, waiting, name):
    said, heard = queued(waiting, name="ink")
    assert said is True
    ((event, data),) = heard
    assert event == "hypernet.notice"
    assert f'in the queue. This one will be saved as "{name}"' in data["text"]


def test_a_running_one_counts_by_the_name_that_it_has(queued):
    training = live.LiveRun(name="ink_4", asked="ink", node="7", total=1)
    _, ((_, data),) = queued(["ink"], running=[training], name="ink")
    assert 'will be saved as "ink"' in data["text"], "which nothing else has"
    _, ((_, data),) = queued(["ink", "ink"], running=[training], name="ink")
    assert 'will be saved as "ink_2"' in data["text"]


def test_with_stop_it_is_refused(queued):
    said, heard = queued(["ink"], name="ink", if_taken="stop")
    assert said.startswith('name: Name "ink": another training of this name is in the queue')
    assert heard == []


def test_folders_are_compared_as_they_are_written_on_the_disk(queued):
    said, _ = queued(["styles\\ink"], name="styles/ink", if_taken="stop")
    assert said.startswith('name: Name "styles/ink"')
