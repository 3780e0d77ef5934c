"""`hypernet runs` and `hypernet report`: what they print, write and refuse."""

import re

import pytest
from hypernet_pack.cli.main import main
from tiny_models.runs import make_run


@pytest.fixture
def hypernet(tmp_path, capsys):
    """hypernet("runs", "diff", …) → (exit code, what was printed, what was said)."""
    places = ["--out", str(tmp_path / "out"), "--models", str(tmp_path / "models")]

    def run(*arguments):
        code = main([*arguments, *places])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "out" / "hypernet"


def test_all_runs_are_listed_and_where_there_are_none_that_is_said(hypernet, runs):
    assert hypernet("runs") == (0, f"There are no runs in {runs}.\n", "")
    make_run(runs, "styles/ink", loss=0.25)
    make_run(runs, "evil\x1b[2J", ended="interrupted", steps=9)
    code, out, _ = hypernet("runs")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert code == 0 and next(iter(lines)) == "run" and len(lines) == 3
    assert lines["styles/ink"][:8] == ["finished", "4", "of", "4", "0.25", "0.125", "1", "min"]
    assert lines["evil\ufffd[2J"][:4] == ["interrupted", "4", "of", "9"]


def test_places_may_be_given_before_the_action_too(tmp_path, capsys, runs):
    make_run(runs, "ink")
    out = ["--out", str(tmp_path / "out")]
    assert main(["runs", *out, "diff", "ink", "ink"]) == 0
    assert "The settings are the same." in capsys.readouterr().out


def test_diff_shows_what_differs_and_the_results(hypernet, runs):
    make_run(runs, "one", learning_rate="1e-3", loss=0.5)
    folder = make_run(runs, "two", learning_rate="1e-4", loss=0.25)
    code, out, _ = hypernet("runs", "diff", "one", str(folder))
    lines = [line.split() for line in out.splitlines()]
    assert code == 0 and lines[0] == ["one", "two"]
    assert ["training:", "learning_rate", "1e-3", "1e-4"] in lines
    assert ["loss,", "smoothed", "0.5", "0.25"] in lines
    assert "save_every" not in out and "layer_structure" not in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["runs", "diff", "ink"], '"ink" is one run'),
        (["runs", "diff", "ink", "inc"], 'no run "inc" in .*Nearest: ink'),
        (["report", "inc"], 'no run "inc" in .*Nearest: ink'),
        (["runs", "publish", "inc"], 'no run "inc" in .*Nearest: ink'),
        (["runs", "publish", "ink", "3"], 'no checkpoint "3". Nearest: 2'),
        (["runs", "delete", "inc"], 'no run "inc" in .*Nearest: ink'),
        (["runs", "delete", "../hypernet/ink"], "../hypernet/ink"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(hypernet, runs, arguments, words):
    make_run(runs, "ink")
    code, out, said = hypernet(*arguments)
    assert (code, out) == (2, "")
    assert re.search(words, said)
    assert (runs / "ink" / "manifest.json").is_file()


def test_publish_and_delete_say_where_things_lie(hypernet, runs, tmp_path):
    make_run(runs, "ink")
    file = tmp_path / "models" / "hypernetworks" / "ink-2.pt"
    assert hypernet("runs", "publish", "ink", "2") == (0, f"Published as {file}.\n", "")
    assert hypernet("runs", "publish", "ink", "2")[1] == f"It is there already, as {file}.\n"
    code, out, _ = hypernet("runs", "delete", "ink")
    place = tmp_path / "out" / "hypernet_trash" / "ink"
    assert code == 0 and out.startswith(f"Moved to {place}.")
    assert (place / "manifest.json").is_file() and not (runs / "ink").exists() and file.is_file()


def test_a_report_is_made_anew_in_the_runs_folder_and_replaces_nothing_elsewhere(
    hypernet, runs, tmp_path
):
    folder = make_run(runs, "ink")
    assert hypernet("report", "ink")[0] == hypernet("report", str(folder))[0] == 0
    assert b"<h1>ink</h1>" in (folder / "report.html").read_bytes()
    mine = tmp_path / "mine.html"
    assert hypernet("report", "ink", "--to", str(mine))[0] == 0
    mine.write_text("mine")
    code, _, said = hypernet("report", "ink", "--to", str(mine))
    assert code == 2 and "exists and is kept" in said and mine.read_text() == "mine"
