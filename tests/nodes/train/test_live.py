"""A training that is watched: what the server tells of it, and what it can be asked to do."""

import json
import threading
import time
from contextvars import copy_context

import pytest
from hypernet_pack import compat
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.graph.executor import Executor
from hypernet_pack.compat.standalone.routes import Editors, speaking_to
from hypernet_pack.nodes.editor import ROUTES, trainings
from hypernet_pack.nodes.shared import progress
from hypernet_pack.nodes.train import live
from PIL import Image

from hypernet import open_network

SHORT = dict(steps=6, batch_size=1, accumulation=1, save_every=0, preview_steps=1, preview_every=2)


@pytest.fixture
def events(monkeypatch):
    heard = []
    monkeypatch.setattr(live, "BETWEEN_EVENTS", 0.0)
    with speaking_to(Editors(lambda name, data: heard.append((name, data)), list)):
        yield heard


@pytest.fixture
def server(tmp_path):
    """call(method, path, query or body): as the server answers it, with JSON between."""
    places = dict(input=tmp_path / "input", output=tmp_path / "output", models=tmp_path / "models")

    def call(method, path, given):
        answer = ROUTES[method, f"/hypernet/runs/{path}"]
        query, body = (given, None) if method == "GET" else ({}, given)
        with folders.configured(**places):
            found = answer(query, body)
        return found if path == "preview" else json.loads(json.dumps(found, allow_nan=False))

    return call


def at_step(monkeypatch, wanted, do):
    """do() on a thread of the server's, once, when `wanted` updates are done."""
    update = live.LiveRun.update

    def watching(self, step):
        update(self, step)
        if step.done == wanted:
            asking = threading.Thread(target=copy_context().run, args=(do,))
            asking.start()
            asking.join()

    monkeypatch.setattr(live.LiveRun, "update", watching)


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}"


def test_a_running_training_can_be_looked_at_and_a_finished_one_too(
    host, graph, events, server, monkeypatch
):
    _, run = host
    seen = {}

    def look():
        seen["name"] = server("GET", "state", {"name": "style"})
        seen["node"] = server("GET", "state", {"node": "train"})

    at_step(monkeypatch, 4, look)
    result = run(graph(**SHORT, probe_every=2, ema=0.999))
    assert result.status == "success", error_of(result)

    during = seen["name"]
    assert (during["state"], during["step"], during["total"]) == ("training", 4, 6)
    assert during["curves"]["loss"]["step"] == [1, 2, 3, 4]
    assert during["curves"]["probe"]["step"] == [0, 2, 4], "0: of a network without effect"
    assert during["curves"]["rate"]["last"] == [1e-3] * 4
    assert during["speed"] > 0 and during["seconds_left"] > 0
    assert during["previews"] == [0, 2], "that of step 4 comes after the update"
    assert "hardly follows in 6 steps" in during["notes"][0]["text"]
    assert seen["node"]["name"] == "style"

    after = server("GET", "state", {"name": " style.pt "})
    assert (after["state"], after["step"], after["total"]) == ("finished", 6, 6)
    assert after["previews"] == [0, 2, 4, 6] and after["seconds"] > 0
    assert after["curves"]["probe"]["step"] == [0, 2, 4, 6]
    assert after["notes"] == during["notes"]
    assert server("GET", "state", {"node": "train"}) == {"state": "none", "name": ""}

    assert {name for name, _ in events} == {"hypernet.step"}
    states = [data["state"] for _, data in events]
    assert list(dict.fromkeys(states)) == ["preparing", "training", "finishing", "finished"]
    assert events[-1][1] == {
        "name": "style", "asked": "style", "node": "train", "state": "finished", "step": 6,
        "total": 6,
    }  # fmt: skip
    with Image.open(server("GET", "preview", {"name": "style", "step": "4"})) as picture:
        assert picture.size == (64, 64)


def test_what_is_prepared_is_counted_in_the_view_and_the_nodes_bar_never_runs_backwards(
    host, graph, events, monkeypatch
):
    _, run = host
    bar = []
    begin = Executor.__init__

    def hear(event, data):
        if event == "progress" and data["node"] == "train":
            bar.append(data["value"] / data["max"])

    monkeypatch.setattr(Executor, "__init__", lambda self, nodes: begin(self, nodes, notify=hear))
    monkeypatch.setattr(progress, "PATIENCE", 0)
    result = run(graph(**SHORT))
    assert result.status == "success", error_of(result)
    counts = [(d["step"], d["total"]) for _, d in events if d["state"] == "preparing"]
    assert (1, 5) in counts and (4, 5) in counts, "pictures, as each begins"
    assert bar == sorted(bar) and bar[-1] == 1


def test_events_are_four_a_second_at_most(monkeypatch):
    heard, now = [], [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    training = live.LiveRun(name="style", node="1", total=100)
    training.stage = "training"
    from hypernet.training.train import Step

    with speaking_to(Editors(lambda name, data: heard.append(now[0]), list)):
        for n in range(1, 101):
            now[0] += 0.01
            training.update(Step(n, 0.5, 1e-3))
    assert 1 <= len(heard) <= 5, "in one second"


def test_stop_and_keep_ends_with_the_network_finished_and_saved(
    host, graph, events, server, monkeypatch
):
    folder, run = host
    at_step(monkeypatch, 3, lambda: server("POST", "ask", {"name": "style", "ask": "stop"}))
    result = run(graph(**SHORT))
    assert result.status == "success", error_of(result)
    assert open_network(folder / "models" / "hypernetworks" / "style.pt").record.step == 3
    assert "Ended after step 3 of 6, as you asked." in "".join(result.outputs["train"]["text"])
    after = server("GET", "state", {"name": "style"})
    assert (after["state"], after["step"], after["total"]) == ("finished", 3, 6)
    assert after["previews"] == [0, 2, 3]


def test_a_pause_holds_the_training_where_it_can_be_saved_until_it_is_resumed(
    host, graph, events, server, monkeypatch
):
    folder, run = host
    ask = lambda what: server("POST", "ask", {"name": "style", "ask": what})  # noqa: E731
    states, saved = [], folder / "output" / "hypernet" / "style" / "style-3.pt"

    def during_pause():
        deadline = time.monotonic() + 60
        found = server("GET", "state", {"name": "style"})
        while found["state"] == "pausing" and time.monotonic() < deadline:
            time.sleep(0.01)
            found = server("GET", "state", {"name": "style"})
        states.append(found)
        states.append(ask("resume"))

    def pause():
        states.append(ask("pause"))
        ask("save")
        threading.Thread(target=copy_context().run, args=(during_pause,)).start()

    at_step(monkeypatch, 3, pause)
    result = run(graph(**SHORT))
    assert result.status == "success", error_of(result)
    asked, held, resumed = states
    assert (asked["state"], resumed["state"]) == ("pausing", "training")
    assert (held["state"], held["step"]) == ("paused", 3)
    assert open_network(saved).record.step == 3
    assert open_network(folder / "models" / "hypernetworks" / "style.pt").record.step == 6
    notes = [note["text"] for note in server("GET", "state", {"name": "style"})["notes"]]
    assert "Saved after step 3, as you asked." in notes


def test_a_pause_ends_with_the_hosts_interrupt(host, graph, events, server, monkeypatch):
    from hypernet_pack.compat.standalone.progress import request_interrupt

    _, run = host

    def pause():
        server("POST", "ask", {"name": "style", "ask": "pause"})
        threading.Timer(0.5, request_interrupt).start()

    at_step(monkeypatch, 3, pause)
    assert run(graph(**SHORT)).status == "interrupted"
    after = server("GET", "state", {"name": "style"})
    assert (after["state"], after["step"]) == ("interrupted", 3)
    assert not live.running()
    assert run(graph(**SHORT)).status == "success", "and goes on from there"
    after = server("GET", "state", {"name": "style"})
    assert (after["state"], after["step"]) == ("finished", 6)
    assert after["curves"]["loss"]["step"] == [1, 2, 3, 4, 5, 6]


def test_a_failure_is_told_in_the_words_of_the_error(host, graph, events, server, monkeypatch):
    from hypernet_pack.nodes.train import session

    def fail(self):
        raise RuntimeError("no room for <b>it</b>")

    monkeypatch.setattr(session.Session, "goes_on", fail)
    assert host[1](graph(**SHORT)).status == "error"
    after = server("GET", "state", {"name": "style"})
    assert (after["state"], after["why"]) == ("failed", "no room for <b>it</b>")
    assert not live.running()


def test_a_killed_run_is_unfinished_and_an_unknown_one_is_none(tmp_path, server):
    left = tmp_path / "output" / "hypernet" / "killed"
    left.mkdir(parents=True)
    (left / "loss.csv").write_text("step,epoch,epoch_step,loss,learn_rate\n1,0,0,0.5,0.001\n")
    found = server("GET", "state", {"name": "killed"})
    assert (found["state"], found["step"], found["total"]) == ("unfinished", 1, None)
    assert server("GET", "state", {"name": "other"}) == {"state": "none", "name": "other"}


@pytest.mark.parametrize(
    "name", ["", "..", "...pt", ".pt", "a//b", "/a", "a\\..\\b", "../x", "x" * 300, None]
)
def test_names_that_lead_out_of_the_run_folders_are_refused(name, tmp_path, server):
    (tmp_path / "output" / "hypernet").mkdir(parents=True)
    (tmp_path / "output" / "manifest.json").write_text("{}")
    query = {} if name is None else {"name": name}
    for path, more in (("state", {}), ("preview", {"step": "1"})):
        with pytest.raises(ValueError):
            server("GET", path, query | more)
    with pytest.raises(ValueError):
        server("POST", "ask", query | {"ask": "stop"})


def test_previews_are_found_by_number_alone(tmp_path, server):
    pictures = tmp_path / "output" / "hypernet" / "a[1]" / "previews"
    pictures.mkdir(parents=True)
    for name in ("a[1]-5.png", "a[1]-12.png", "a1-3.png", "a[1]-x.png", "a[1]-7.png.html"):
        (pictures / name).write_bytes(b"")
    assert server("GET", "state", {"name": "a[1]"})["previews"] == [5, 12]
    assert server("GET", "preview", {"name": "a[1]", "step": "12"}) == pictures / "a[1]-12.png"
    with pytest.raises(FileNotFoundError, match="no preview after step 3"):
        server("GET", "preview", {"name": "a[1]", "step": "3"})
    for step in ("", "../5", "-5", "5.png", "٣"):
        with pytest.raises(ValueError, match="Step"):
            server("GET", "preview", {"name": "a[1]", "step": step})


def test_of_very_many_previews_some_are_listed_the_newest_among_them(tmp_path, server):
    pictures = tmp_path / "output" / "hypernet" / "many" / "previews"
    pictures.mkdir(parents=True)
    for step in range(1, 2501):
        (pictures / f"many-{step}.png").touch()
    found = server("GET", "state", {"name": "many"})["previews"]
    assert len(found) <= 1000 and found[-1] == 2500 and found == sorted(found)


class EndsWhenLookedAt(dict):
    """The registry, of which each training is gone after the first look."""

    def __contains__(self, name):
        found = super().__contains__(name)
        self.clear()
        return found

    def get(self, name):
        found = super().get(name)
        self.clear()
        return found

    def values(self):
        found = [*super().values()]
        self.clear()
        return found


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "state", {"name": "style"}),
        ("GET", "state", {"node": "12"}),
        ("POST", "ask", {"name": "style", "ask": "pause"}),
    ],
)
def test_a_training_that_ends_while_it_is_looked_at_is_no_fault(
    server, monkeypatch, method, path, given
):
    training = live.LiveRun(name="style", node="12", total=1)
    ending = EndsWhenLookedAt(style=training)
    monkeypatch.setattr(trainings, "running", lambda: ending)
    assert server(method, path, given)["state"] in ("preparing", "pausing")


def test_wishes_that_cannot_be_fulfilled_are_refused_in_words(server, monkeypatch):
    with pytest.raises(OSError, match='"style" is not being trained just now'):
        server("POST", "ask", {"name": "style", "ask": "stop"})
    monkeypatch.setitem(live.running(), "style", live.LiveRun(name="style", node="", total=1))
    with pytest.raises(ValueError, match='"explode" cannot be asked'):
        server("POST", "ask", {"name": "style", "ask": "explode"})
    with pytest.raises(ValueError, match="name"):
        server("POST", "ask", ["style"])


def test_memory_is_told_in_bytes():
    pytest.importorskip("psutil")
    found = live.memory_in_use(compat.torch_device())
    assert 10**6 < found["used"] < found["total"]


def test_a_run_in_folders_is_told_with_its_previews(host, graph, events, server):
    _, run = host
    result = run(graph(**SHORT, name="styles/ink"))
    assert result.status == "success", error_of(result)
    for name in ("styles/ink", "styles\\ink"):
        found = server("GET", "state", {"name": name})
        assert (found["name"], found["state"]) == ("styles/ink", "finished")
        assert found["previews"] == [0, 2, 4, 6]
    picture = server("GET", "preview", {"name": "styles/ink", "step": "4"})
    assert picture.name == "ink-4.png" and picture.exists()
    assert events[-1][1]["name"] == events[-1][1]["asked"] == "styles/ink"


def test_a_node_is_shown_the_run_that_its_name_has_got(host, graph, events, server, monkeypatch):
    _, run = host
    assert run(graph(**SHORT)).status == "success"
    seen = []
    at_step(monkeypatch, 4, lambda: seen.append(server("GET", "state", {"asked": "style"})))
    assert run(graph(**SHORT, seed=1)).status == "success"
    assert (seen[0]["name"], seen[0]["state"]) == ("style_2", "training")
    assert server("GET", "state", {"asked": "style"})["name"] == "style_2"
    assert server("GET", "state", {"name": "style"})["name"] == "style"
    assert server("GET", "state", {"asked": "style_2"})["name"] == "style_2"
    assert server("GET", "state", {"asked": "other"})["state"] == "none"
    events.clear()
    assert run(graph(**SHORT)).status == "success", "given back"
    told = events[-1][1]
    assert (told["name"], told["asked"], told["state"]) == ("style", "style", "finished")
