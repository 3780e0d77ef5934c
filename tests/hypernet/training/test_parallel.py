"""Two processes that share every batch, beside one that computes all of it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hypernet.training.diffusion import Batch
from hypernet.training.parallel import ALONE, Processes, share_of

HERE = Path(__file__).parent
SCRIPT = HERE / "trained_together.py"
spec = importlib.util.spec_from_file_location("trained_together", SCRIPT)
trained_together = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trained_together)
CASES = trained_together.CASES

CLOSE = dict(rtol=1e-4, atol=1e-6)  # Adam divides by the gradient's size: near 0 rounding shows


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What the two processes have left, by case."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "hypernet").symlink_to(HERE.parents[2] / "hypernet")
    started = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(number), "2", folder],
            env=os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        )
        for number in (0, 1)
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    return {
        case: [torch.load(folder / f"{case}-{number}.pt") for number in (0, 1)]
        for case in [*CASES, "asked", "ahead"]
    }


@pytest.mark.parametrize("case", ["plain", "dropout", "weighted", "float16", "out of memory"])
def test_two_processes_make_the_updates_of_one_with_the_whole_batch(together, case):
    alone, (first, _) = trained_together.trained(case, ALONE), together[case]
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert first["gradients"] == pytest.approx(alone["gradients"], rel=1e-4)
    for what in ("network", "result"):
        for name, weight in alone[what].items():
            torch.testing.assert_close(first[what][name], weight, **CLOSE)
    if case == "float16":  # a process's own gradients are larger than their mean
        assert 0 < first["scale"] <= alone["scale"] < 2.0**24


@pytest.mark.parametrize("case", CASES)
def test_the_processes_agree_bit_by_bit(together, case):
    first, second = together[case]
    for what in ("network", "result", "powers"):
        for name, weight in first[what].items():
            assert torch.equal(weight, second[what][name])
    assert repr(first["losses"]) == repr(second["losses"])


def test_a_blow_up_in_one_process_leads_all_of_them_back(together):
    for each in together["spoilt"]:
        assert each["went_back"][102] == 100
        assert len(each["losses"]) == 106
    assert trained_together.trained("spoilt", ALONE)["went_back"] == [None] * 104


def test_gradients_are_sent_while_others_are_still_computed(together):
    for ahead in together["ahead"]:
        assert ahead == [False, True, True], "the first update finds out in which order"


def test_a_process_that_runs_out_of_memory_computes_again_what_the_others_wait_for(together):
    first, second = together["out of memory"]
    assert first["notes"] == [] and "computed twice" in second["notes"][0]


def test_what_one_process_knows_all_can_be_told(together):
    for asked in together["asked"]:
        assert asked == [True, False, True, False, 0]


def test_alone_nothing_is_shared_and_nobody_is_asked():
    tensor = torch.arange(4)
    assert ALONE.share(tensor) is not None and torch.equal(ALONE.share(tensor), tensor)
    assert ALONE.leads and ALONE.any(True) and not ALONE.any(False) and ALONE.told(3) == 3


def test_shares_are_equal_parts_of_all_that_a_sample_has():
    batch = trained_together.batch_at(0, 4)
    shares = [share_of(batch, Processes(number, 2)) for number in (0, 1)]
    whole = Batch(
        torch.cat([share.latents for share in shares]),
        {"context": torch.cat([share.condition["context"] for share in shares])},
        torch.cat([share.weights for share in shares]),
    )
    assert torch.equal(whole.latents, batch.latents)
    assert torch.equal(whole.condition["context"], batch.condition["context"])
    assert torch.equal(whole.weights, batch.weights)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="batch_size 4 cannot be shared by 3 processes"):
        trained_together.trained("plain", Processes(0, 3))
