"""The state that a run resumes from: whole on the disk at every moment, and the same when read."""

import os
from dataclasses import asdict, replace

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.runs.state import (
    BEFORE,
    CHOSEN,
    FREE,
    NEWEST,
    NEXT,
    bytes_in,
    bytes_of_states,
    check_same_network,
    is_unfinished,
    load_optimizer,
    load_state,
    newest_state,
    read_state,
    save_state,
    spec_differences,
    state_of,
    through_json,
)
from hypernet.training.optimizers import OPTIMIZERS, build_optimizer, missing_package

WIDTH = 8
INSTALLED = [name for name in OPTIMIZERS if not missing_package(name)]


def network(**spec):
    return Hypernetwork(HypernetSpec(**dict(widths=(WIDTH,), activation="mish") | spec))


def updated(made, optimizer, times=2):
    for number in range(times):
        x = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(number))
        for group in optimizer.param_groups:
            group["lr"] = 1e-2
        (made.keys(x) + made.values(x)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        made.record.step += 1
    return made, optimizer


def adamw(made, **settings):
    return torch.optim.AdamW(made.parameters(), **settings)


def a_state(step=2):
    made = network()
    made, optimizer = updated(made, adamw(made), step)
    settings, written = {"steps": 9, "learning_rate": "1e-2"}, {"style-2.pt": [100, 7]}
    return state_of(made, optimizer, settings, written)


def weights(made):
    return torch.cat([parameter.detach().flatten() for parameter in made.parameters()])


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


# --- round trip -------------------------------------------------------------------------------


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = a_state()
    save_state(tmp_path, state)
    assert same(vars(read_state(tmp_path / NEWEST)), vars(state))


def test_what_is_kept_of_a_run_is_plain_so_that_reading_it_runs_no_code(tmp_path):
    save_state(tmp_path, a_state())
    content = torch.load(tmp_path / NEWEST, weights_only=True)
    assert content["step"] == 2
    for name in ("spec", "settings", "written"):
        assert isinstance(content[name], str), "JSON"
    assert all(each.device.type == "cpu" for each in content["weights"].values())


def test_a_state_written_without_settings_and_checkpoints_is_read(tmp_path):
    """Those of the first versions."""
    save_state(tmp_path, a_state())
    content = torch.load(tmp_path / NEWEST, weights_only=True)
    torch.save({k: content[k] for k in ("step", "spec", "weights", "optimizer")}, tmp_path / NEWEST)
    found = read_state(tmp_path / NEWEST)
    assert (found.step, found.settings, found.written) == (2, {}, {})


@pytest.mark.parametrize("name", INSTALLED)
def test_the_next_update_is_the_one_that_the_unbroken_run_would_make(tmp_path, name):
    made = network()
    made, optimizer = updated(made, build_optimizer(name, made.parameters(), 0.1))
    save_state(tmp_path, state_of(made, optimizer, {}, {}))
    later = network(seed=5)
    again = build_optimizer(name, later.parameters(), 0.1)
    load_state(read_state(tmp_path / NEWEST), later, again)
    assert later.record.step == 2 and torch.equal(weights(later), weights(made))
    updated(made, optimizer)
    updated(later, again)
    assert torch.equal(weights(later), weights(made))


def test_weights_are_put_by_place_for_dropout_renames_the_layers(tmp_path):
    made = network()
    state = state_of(made, adamw(made), {}, {})
    later = network(seed=5, dropout_structure=(0, 0.5, 0.5))
    assert list(later.state_dict()) != list(state.weights)
    load_state(state, later, adamw(later))
    assert torch.equal(weights(later), weights(made))


def test_a_state_is_loaded_inside_inference_mode_into_weights_that_can_be_trained():
    state, later = a_state(), network(seed=5)
    optimizer = adamw(later)
    with torch.inference_mode():
        load_state(state, later, optimizer)
    updated(later, optimizer)
    assert not any(p.is_inference() for p in later.parameters())


# --- what a person chose ----------------------------------------------------------------------

OTHER = {"weight_decay": 0.7, "betas": (0.5, 0.6), "eps": 1e-3, "momentum": 0.3}


@pytest.mark.parametrize("key", CHOSEN)
def test_what_a_person_chose_for_the_optimizer_stays(key):
    def optimizer_of(made, **settings):
        kind = torch.optim.SGD if key == "momentum" else torch.optim.AdamW
        return kind(made.parameters(), **settings)

    made = network()
    _, old = updated(made, optimizer_of(made))
    new = optimizer_of(made, **{key: OTHER[key]})
    load_optimizer(new, old.state_dict())
    assert new.param_groups[0][key] == OTHER[key] != old.param_groups[0][key]
    assert same(new.state_dict()["state"], old.state_dict()["state"])


@pytest.mark.skipif("Prodigy" not in INSTALLED, reason="prodigyopt is not installed")
def test_what_prodigy_has_learnt_is_not_chosen():
    made = network()
    _, old = updated(made, build_optimizer("Prodigy", made.parameters(), 0.0))
    old.param_groups[0]["d"] = 0.5
    new = build_optimizer("Prodigy", made.parameters(), 0.0)
    load_optimizer(new, old.state_dict())
    assert new.param_groups[0]["d"] == 0.5


# --- the newest that is whole -----------------------------------------------------------------

FILES = (NEXT, NEWEST, BEFORE)


@pytest.mark.parametrize(
    ("there", "damaged", "step"),
    [
        ((), (), None),
        ((NEWEST,), (), 2),
        ((NEWEST, BEFORE), (), 2),
        ((BEFORE,), (), 1),  # between the renames, when the next was not yet whole
        (FILES, (), 3),
        ((NEXT, BEFORE), (), 3),
        ((NEWEST, BEFORE), (NEWEST,), 1),
        (FILES, (NEXT,), 2),
        (FILES, (NEXT, NEWEST), 1),
    ],
    ids=str,
)
def test_the_newest_whole_state_is_found_and_the_damaged_are_named(tmp_path, there, damaged, step):
    for name, number in zip(FILES, (3, 2, 1), strict=True):
        if name in there:
            save_state(tmp_path / "made", a_state(number))
            os.replace(tmp_path / "made" / NEWEST, tmp_path / name)
        if name in damaged:
            os.truncate(tmp_path / name, 100)
    assert is_unfinished(tmp_path) == bool(there)
    state, words = newest_state(tmp_path)
    assert (state and state.step) == step
    for name in damaged:
        assert f'{name}" cannot be read' in words
    assert words.endswith(f"instead, after step {step}.") if damaged else words == ""


@pytest.mark.parametrize("there", [(NEWEST,), (NEWEST, BEFORE), FILES], ids=str)
def test_a_run_whose_states_are_all_damaged_is_refused_with_what_to_do(tmp_path, there):
    for name in there:
        (tmp_path / name).write_bytes(b"rotten")
    with pytest.raises(ValueError, match="cannot be resumed") as fault:
        newest_state(tmp_path)
    assert all(f'{name}"' in str(fault.value) for name in there)
    assert "Copy its newest checkpoint into models/hypernetworks" in str(fault.value)


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("made", range(4))
def test_a_save_that_breaks_off_anywhere_leaves_a_whole_state(tmp_path, monkeypatch, before, made):
    """before: saves that went well. made: moves of files that still happen, of at most three."""
    for step in range(before):
        save_state(tmp_path, a_state(step + 1))
    moves, replace_file = [], os.replace

    def move(*names):
        moves.append(names)
        if len(moves) > made:
            raise OSError(5, "Input/output error")
        replace_file(*names)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", move)
        try:
            save_state(tmp_path, a_state(before + 1))
        except OSError:
            assert made < 3
    state, words = newest_state(tmp_path)
    assert words == "" and (state.step if state else 0) == before + (made > 0)
    save_state(tmp_path, a_state(9))
    assert newest_state(tmp_path)[0].step == 9 and not (tmp_path / NEXT).exists()


def test_every_byte_that_rots_in_the_weights_is_noticed(tmp_path):
    """The weights-only reader does not compare the checksums that torch writes."""
    save_state(tmp_path, a_state())
    whole = (tmp_path / NEWEST).read_bytes()
    numbers = a_state().weights["pairs.8.k.linear.0.weight"].numpy().tobytes()
    place = whole.index(numbers)
    for offset in range(0, len(numbers), 97):
        rotten = bytearray(whole)
        rotten[place + offset] ^= 1
        (tmp_path / NEWEST).write_bytes(rotten)
        with pytest.raises(ValueError, match=r'state\.pt" is damaged: .* is not what was written'):
            read_state(tmp_path / NEWEST)


# --- refusal ----------------------------------------------------------------------------------

CONTENT = {"step": 1, "spec": "{}", "weights": {}, "optimizer": {}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "cannot convert"),
        (5, "int"),
        ({}, "missing 4 required"),
        ({key: CONTENT[key] for key in ("step", "spec", "weights")}, "'optimizer'"),
        (CONTENT | {"spec": "{"}, "property name"),
        (CONTENT | {"settings": ""}, "Expecting value"),
        (CONTENT | {"mood": "good"}, "'mood'"),
    ],
    ids=str,
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path, content, words):
    torch.save(content, tmp_path / NEWEST)
    with pytest.raises(ValueError, match=r'state\.pt" is not the state of a run') as fault:
        read_state(tmp_path / NEWEST)
    assert words in str(fault.value)


@pytest.mark.parametrize("content", [torch.zeros(3), "spec"], ids=str)
def test_a_file_whose_content_has_no_names_is_refused_by_name(tmp_path, content):
    torch.save(content, tmp_path / NEWEST)
    with pytest.raises(ValueError, match=r'state\.pt" is not the state of a run'):
        read_state(tmp_path / NEWEST)


def test_a_file_as_torch_wrote_it_before_2020_gives_way_to_the_state_before(tmp_path):
    """It has no checksums to compare."""
    save_state(tmp_path, a_state(1))
    os.replace(tmp_path / NEWEST, tmp_path / BEFORE)
    torch.save(CONTENT, tmp_path / NEWEST, _use_new_zipfile_serialization=False)
    state, words = newest_state(tmp_path)
    assert state.step == 1 and 'state.pt" is not the state of a run' in words


def test_a_state_that_cannot_be_opened_is_a_fault_of_the_disk(tmp_path):
    with pytest.raises(OSError):
        read_state(tmp_path / NEWEST)


SPEC = HypernetSpec(widths=(WIDTH,), activation="mish")
DIFFERENCES = {
    "widths": ((8, 16), "widths 8 (now 8, 16)"),
    "layer_structure": ((1, 3, 1), "layer_structure 1, 2, 1 (now 1, 3, 1)"),
    "activation": ("relu", "activation mish (now relu)"),
    "layer_norm": (True, "layer_norm False (now True)"),
    "activate_output": (True, "activate_output False (now True)"),
    "skip_connection": (True, "skip_connection False (now True)"),
    "bias": (False, "bias True (now False)"),
}


@pytest.mark.parametrize("key", DIFFERENCES)
def test_another_network_is_refused_with_what_is_otherwise(key):
    value, words = DIFFERENCES[key]
    with pytest.raises(ValueError) as fault:
        check_same_network(a_state(), replace(SPEC, **{key: value}), 'The run "style"')
    assert str(fault.value).startswith(f'The run "style" trains another network: {words}. ')


def test_a_state_from_before_a_field_was_there_has_its_default():
    state = a_state()
    older = replace(state, spec={key: value for key, value in state.spec.items() if key != "bias"})
    check_same_network(older, SPEC, "The run")
    with pytest.raises(ValueError, match=r"bias True \(now False\)"):
        check_same_network(older, replace(SPEC, bias=False), "The run")


OTHER_BEGINNINGS = {
    "seed": 5,
    "weight_initialization": "XavierNormal",
    "dropout_structure": (0, 0.5, 0),
}


@pytest.mark.parametrize("key", FREE)
def test_what_decides_only_how_weights_begin_or_are_trained_may_be_otherwise(key):
    check_same_network(a_state(), replace(SPEC, **{key: OTHER_BEGINNINGS[key]}), "The run")


def test_every_difference_is_named():
    was = through_json(asdict(SPEC))
    now = through_json(asdict(replace(SPEC, activation="relu", layer_norm=True)))
    words = "activation mish (now relu); layer_norm False (now True)"
    assert spec_differences(was, now) == words
    assert spec_differences(was, was) == ""
    placed = replace(SPEC, widths=(), places=(("image", 64), ("joint", 64)))
    now = through_json(asdict(placed))
    assert "places none (now image 64, joint 64)" in spec_differences(was, now)


@pytest.mark.parametrize("spec", [dict(layer_structure=(1, 3, 1)), dict(widths=(8, 16))], ids=str)
def test_weights_of_another_network_are_refused_in_words(spec):
    other = network(**spec)
    with pytest.raises(ValueError, match="The saved state does not fit this Hypernetwork: "):
        load_state(a_state(), other, adamw(other))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state["param_groups"].clear(),
        lambda state: state["param_groups"][0]["params"].pop(),
        lambda state: state.pop("state"),
        lambda state: state.pop("param_groups"),
    ],
    ids=["no groups", "a parameter less", "no state", "no word of groups"],
)
def test_an_optimizer_of_other_parameters_is_refused_in_words(spoil):
    made = network()
    _, optimizer = updated(made, adamw(made))
    state = optimizer.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match="The saved state does not fit this AdamW: "):
        load_optimizer(adamw(made), state)


# --- small ones -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, 0),
        ("text", 0),
        ({}, 0),
        (torch.zeros(3), 12),
        ([torch.zeros(2, dtype=torch.float16), torch.zeros((), dtype=torch.int64)], 12),
        ({"a": {"b": (torch.zeros(1), [torch.zeros(1)])}, "c": 5}, 8),
    ],
    ids=str,
)
def test_the_size_of_all_tensors_inside_is_counted(value, size):
    assert bytes_in(value) == size


def test_the_states_of_a_run_take_what_their_files_take(tmp_path):
    assert bytes_of_states(tmp_path) == 0
    for step in (1, 2):
        save_state(tmp_path, a_state(step))
    assert bytes_of_states(tmp_path) == sum(p.stat().st_size for p in tmp_path.iterdir())


def test_settings_are_compared_as_a_file_gives_them_back():
    assert through_json({"a": (1, 2.5), "b": None, "c": True}) == {
        "a": [1, 2.5],
        "b": None,
        "c": True,
    }
    assert through_json(through_json((1, "x"))) == through_json((1, "x")) == [1, "x"]
