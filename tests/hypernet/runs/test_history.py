"""What a run's folder tells of it afterwards, whatever became of its files."""

import json

import pytest

from hypernet.runs.history import MOST_NOTES, RunHistory, read_history
from hypernet.runs.run import Run
from hypernet.training.health import Health, after_loss
from hypernet.training.settings import TrainSettings
from hypernet.training.train import Step


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run", "style", 10, TrainSettings(steps=200))


def test_the_folder_tells_what_the_training_saw(run):
    live = RunHistory()
    for n in range(1, 151):
        step = Step(n, 0.5 + n % 4 / 8, 1e-3 * n, probe=0.5 if n % 50 == 0 else None)
        run.note(step)
        live.update(n, step.loss, step.rate)
        if step.probe is not None:
            live.see(n, probe=step.probe)
    run.remember(150, note="a sentence — “quoted”")
    run.remember(150, ended="failed", why="no memory")
    run.flush()
    found = read_history(run.folder)
    assert found.curves() == live.curves()
    assert (found.step, list(found.notes)) == (150, [(150, "a sentence — “quoted”")])
    assert (found.ended, found.why) == ("failed", "no memory")


def test_the_smoothed_loss_is_that_of_the_health():
    course, health = RunHistory(), Health()
    for n, loss in enumerate([0.5, 0.1, 0.9, 0.3], 1):
        course.update(n, loss, 1e-3)
        health = after_loss(health, loss)
    assert course.curves()["smoothed"]["last"][-1] == pytest.approx(health.smoothed, rel=1e-4)


def test_steps_that_were_undone_leave_nothing_behind(run):
    for n in range(1, 101):
        run.note(Step(n, 0.5, 1e-3, probe=0.1 if n % 20 == 0 else None))
    run.remember(90, note="late")
    run.note(Step(51, 0.25, 1e-3))
    run.flush()
    found = read_history(run.folder)
    assert found.step == 51
    assert found.probe.points("mean") == {"step": [20, 40], "mean": [0.1, 0.1]}
    assert not found.notes
    course = RunHistory()
    for n in [1, 2, 3, 2]:
        course.update(n, n / 10, 1e-3)
    assert course.loss.points("mean") == {"step": [1, 2], "mean": [0.1, 0.2]}


def test_a_run_that_goes_on_has_not_ended(run):
    run.remember(10, ended="interrupted", why="")
    assert read_history(run.folder).ended == "interrupted"
    run.remember(10, began=1000)
    run.remember(10, began=2000)
    found = read_history(run.folder)
    assert (found.ended, found.began) == ("", 1000)


def test_what_was_damaged_is_left_out(run):
    run.note(Step(1, 0.5, 1e-3))
    run.flush()
    with open(run.folder / "loss.csv", "ab") as file:
        file.write(b"2,0,1,0.2\xff\n3,")
    lines = ["[]", "{", '"x"', '{"note": 1}', json.dumps({"step": 2, "probe": 0.3}), '{"st']
    (run.folder / "seen.jsonl").write_text("\n".join(lines))
    found = read_history(run.folder)
    assert found.loss.points("low") == {"step": [1], "low": [0.5]}
    assert found.probe.points("mean") == {"step": [2], "mean": [0.3]}


def test_sentences_are_kept_once_and_not_without_end():
    course = RunHistory()
    for n in range(200):
        course.see(n, note="the same")
        course.see(n, note=f"sentence {n}")
    assert len(course.notes) == MOST_NOTES
    assert course.notes[-1] == (199, "sentence 199")
