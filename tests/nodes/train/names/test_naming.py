"""The decision about a name, as a table: what stands there, what is asked, what will happen."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypernet_pack.nodes.train.names.naming import ADD, GO_ON, STOP, Looks, Wish, plan_name

from hypernet.network.spec import HypernetSpec
from hypernet.runs.request import make_request
from hypernet.runs.standing import Standing
from hypernet.training.settings import TrainSettings

SETTINGS = TrainSettings(steps=100, learning_rate="1e-5")
ASKED = replace(
    make_request(SETTINGS, HypernetSpec(), model="m"),
    pictures="p",
)
NOW = replace(ASKED, pictures="")
OTHER = replace(ASKED, settings={**ASKED.settings, "seed": 7})
SHAPE = replace(ASKED, spec={**ASKED.spec, "layer_structure": [1, 3, 1]})
HALF = replace(ASKED, settings={**ASKED.settings, "steps": 50})
LOOKS = Looks(
    pictures=lambda: "p",
    sha=lambda each: f"sha of {each.name}",
    fault=lambda each: each.fault,
    hinders=lambda each: "It has another shape." if each.request is SHAPE else "",
)


def there(name, kind="finished", request=ASKED, done=100, **more):
    file = Path(f"{name}.pt") if kind in ("finished", "file") else None
    request = None if kind in ("file", "leftovers", "damaged") else request
    return Standing(
        name=name, kind=kind, folder=Path(name), file=file, request=request, done=done,
        **{"asked": "a"} | more,
    )  # fmt: skip


def decided(standings, busy=(), free="a_9", if_taken=ADD, resume=True, request=NOW):
    wish = Wish(name="a", request=request, resume=resume, if_taken=if_taken)
    return plan_name(wish, standings or [there("a", "free")], busy, free, LOOKS)


@pytest.mark.parametrize(
    ("standings", "asked", "kind", "name"),
    [
        ([], dict(free="a"), "new", "a"),
        ([there("a")], {}, "load", "a"),
        ([there("a", request=OTHER), there("a_2")], {}, "load", "a_2"),
        ([there("a", done=40), there("a_2")], {}, "load", "a_2"),  # the longest
        ([there("a", done=40)], {}, "load", "a"),
        ([there("a", done=40)], dict(if_taken=STOP), "load", "a"),
        ([there("a", done=40)], dict(if_taken=GO_ON), "go on", "a_9"),
        ([there("a", request=OTHER)], {}, "new", "a_9"),
        ([there("a", fault="It was replaced")], {}, "new", "a_9"),
        ([there("a", "file")], {}, "new", "a_9"),
        ([there("a", "leftovers")], {}, "new", "a_9"),
        ([there("a", "damaged")], {}, "new", "a_9"),
        ([there("a", "lost")], {}, "resume", "a"),
        ([there("a", "lost", OTHER)], {}, "new", "a_9"),
        ([there("a", "unfinished")], {}, "resume", "a"),
        ([there("a", "unfinished", OTHER)], {}, "resume", "a"),
        ([there("a", "unfinished", OTHER)], dict(if_taken=STOP), "resume", "a"),
        ([there("a", "unfinished", OTHER), there("a_2", "unfinished")], {}, "resume", "a_2"),
        ([there("a", "unfinished", SHAPE)], {}, "new", "a_9"),
        ([there("a", "unfinished", SHAPE), there("a_2", "unfinished", OTHER)], {}, "resume", "a_2"),
        ([there("a", "unfinished")], dict(resume=False), "new", "a_9"),
        ([there("a", "unfinished"), there("a_2")], dict(resume=False), "load", "a_2"),
        ([there("a", request=OTHER), there("a_2026", "unfinished", OTHER, asked="a_2026")],
         {}, "new", "a_9"),  # a year that somebody wrote is no number of ours
        ([there("a", request=HALF, done=50)], {}, "new", "a_9"),
        ([there("a", request=HALF, done=50)], dict(if_taken=GO_ON), "go on", "a_9"),
        ([there("a", "file")], dict(if_taken=GO_ON), "go on", "a_9"),
        ([there("a", "damaged")], dict(if_taken=GO_ON), "new", "a_9"),
        ([there("a")], dict(if_taken=GO_ON, request=replace(NOW, settings=HALF.settings)),
         "load", "a"),
        ([there("a", "unfinished", OTHER)], dict(busy=["a"]), "new", "a_9"),
    ],
)  # fmt: skip
def test_what_stands_there_decides_what_happens(standings, asked, kind, name):
    found = decided(standings, **asked)
    assert (found.kind, found.name) == (kind, name)
    assert kind != "new" or name == "a" or 'this one is saved as "a_9".' in "".join(found.said)


@pytest.mark.parametrize(
    ("standings", "asked", "words"),
    [
        ([there("a", request=OTHER)], dict(if_taken=STOP), "seed 7 (now 0)"),
        ([there("a", "file")], dict(if_taken=STOP), "of whose training nothing is known"),
        ([there("a", "unfinished")], dict(if_taken=STOP, resume=False), "and resume is off"),
        ([there("a", "unfinished", SHAPE)], dict(if_taken=STOP), "It has another shape."),
        ([there("a", "unfinished")], dict(busy=["a"]), "with the same settings and pictures"),
        (
            [there("a", "free", OTHER)],
            dict(busy=["a"], if_taken=STOP),
            "by another process. Choose",
        ),
        ([there("a", request=SHAPE)], dict(if_taken=GO_ON), "layer_structure 1, 3, 1 (now 1, 2, 1"),
        ([there("a", request=OTHER)], dict(if_taken=GO_ON), "has had 100 updates, and steps 100"),
        ([there("a", request=OTHER, fault="It was replaced")], dict(if_taken=GO_ON), "cannot go"),
    ],
)
def test_where_the_user_must_decide_a_sentence_says_why(standings, asked, words):
    with pytest.raises((FileExistsError, ValueError)) as fault:
        decided(standings, **asked)
    assert words in str(fault.value)


def test_pictures_are_hashed_only_if_all_else_is_the_same():
    def never():
        raise AssertionError("hashed")

    looks = replace(LOOKS, pictures=never)
    wish = Wish(name="a", request=NOW, resume=True, if_taken=ADD)
    assert plan_name(wish, [there("a", request=OTHER)], [], "a_2", looks).name == "a_2"


def test_training_further_is_one_request_with_training_in_one_go_where_steps_alone_change():
    further = decided([there("a", request=HALF, done=50)], if_taken=GO_ON)
    assert further.begins_with is None
    curve = {"learning_rate": "cosine 1e-5", "steps": 50}
    bent = replace(HALF, settings={**HALF.settings, **curve})
    wanted = replace(NOW, settings={**NOW.settings, "learning_rate": "cosine 1e-5"})
    further = decided([there("a", request=bent, done=50)], if_taken=GO_ON, request=wanted)
    assert further.begins_with == "sha of a"
    longer = there("a_2", request=replace(wanted, pictures="p", begins_with="sha of a"))
    both = [there("a", request=bent, done=50), longer]
    assert decided(both, if_taken=GO_ON, request=wanted).kind == "load"
    assert decided(both, request=wanted).kind == "new", "that alone would be another network"


def test_whoever_asks_for_more_steps_hears_that_they_can_be_added():
    hint = 'To train "a" further instead of anew, stop and set if_taken to "go on training it".'
    assert decided([there("a", request=HALF, done=50)]).said[-1] == hint
    assert hint not in decided([there("a", request=OTHER)]).said
    replaced = there("a", request=ASKED, fault="It was replaced")
    assert hint not in decided([replaced]).said
