"""A memo answers from what it knows only where nothing can have changed."""

import threading

import pytest
import torch

from hypernet.apply.memo import KEPT, Memo, Seen, can_be_checked, version


class Asked:
    """A memo, and the function that it spares: doubled(*tensors), with its calls counted."""

    def __init__(self):
        self.memo, self.times = Memo(), 0

    def doubled(self, *inputs, key="key"):
        def compute():
            self.times += 1
            return tuple(tensor * 2 for tensor in inputs)

        return self.memo.recall(key, inputs, compute)


def numbers(seed=0, *shape):
    return torch.randn(shape or (2, 3), generator=torch.Generator().manual_seed(seed))


# --- the same answer --------------------------------------------------------------------------


def test_the_same_tensor_gets_the_very_results_of_before():
    asked, x = Asked(), numbers()
    first, again = asked.doubled(x), asked.doubled(x)
    assert first is again and asked.times == 1
    assert torch.equal(first[0], x * 2)


def test_on_the_cpu_equal_numbers_are_enough():
    asked, x = Asked(), numbers()
    first = asked.doubled(x)
    assert asked.doubled(x.clone()) is first
    assert asked.doubled(x.T.contiguous().T) is first
    with torch.inference_mode():
        assert asked.doubled(x.clone()) is first


def test_what_is_remembered_takes_no_part_in_autograd():
    asked, weight = Asked(), torch.ones(3, requires_grad=True)
    (found,) = asked.memo.recall(None, (numbers(),), lambda: (weight * 2,))
    assert not found.requires_grad


def test_results_of_inference_mode_are_given_as_ordinary_tensors():
    with torch.inference_mode():
        made = numbers()
        (found,) = Memo().recall(None, (numbers(1),), lambda: (made,))
    assert made.is_inference() and not found.is_inference() and torch.equal(found, made)


# --- another answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x + 1,
        lambda x: x.double(),
        lambda x: x[None],
        lambda x: x.flip(0),
        lambda x: x[:1],
        lambda x: x.mul_(2),
        lambda x: x.copy_(numbers(5)),
        lambda x: x.set_(numbers(6)),
        lambda x: x.to("meta"),
    ],
    ids=["numbers", "dtype", "shape", "order", "part", "scaled", "copied", "storage", "device"],
)
def test_another_input_is_computed_anew(change):
    asked, x = Asked(), numbers()
    asked.doubled(x)
    given = change(x)
    (found,) = asked.doubled(given)
    assert asked.times == 2
    assert given.is_meta or torch.equal(found, given * 2)


def test_nan_is_like_nothing_but_the_same_tensor():
    asked, x = Asked(), torch.tensor([torch.nan])
    asked.doubled(x)
    asked.doubled(x)
    assert asked.times == 1
    asked.doubled(x.clone())
    assert asked.times == 2


@pytest.mark.parametrize("keys", [(1, 2), (None, 1.0), ((True, False), (False, True))], ids=str)
def test_another_key_is_another_question(keys):
    asked, x = Asked(), numbers()
    for _ in range(2):
        for key in keys:
            asked.doubled(x, key=key)
    assert asked.times == len(keys)


def test_more_inputs_are_another_question():
    asked, x = Asked(), numbers()
    for inputs in ((x,), (x, x), (x, x, x)):
        assert len(asked.doubled(*inputs)) == len(inputs)
    assert asked.times == 3


@pytest.mark.parametrize("write", [torch.Tensor.zero_, lambda found: found[0].fill_(1)])
def test_a_result_that_somebody_wrote_into_is_not_given_again(write):
    asked, x = Asked(), numbers()
    write(asked.doubled(x)[0])
    assert torch.equal(asked.doubled(x)[0], x * 2)


# --- how much is kept -------------------------------------------------------------------------


def test_the_newest_are_kept_and_the_oldest_goes():
    asked, given = Asked(), [numbers(seed) for seed in range(KEPT + 1)]
    for x in given:
        asked.doubled(x)
    for x in given[1:]:
        asked.doubled(x)
    assert asked.times == KEPT + 1
    asked.doubled(given[0])
    assert asked.times == KEPT + 2


def test_after_clearing_nothing_is_known():
    asked, x = Asked(), numbers()
    asked.doubled(x)
    asked.memo.clear()
    asked.doubled(x)
    assert asked.times == 2


# --- what cannot be checked -------------------------------------------------------------------


def ordinary(device, **given):
    return torch.zeros(2, device=device, **given)


def of_inference(device):
    with torch.inference_mode():
        return torch.zeros(2, device=device)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ordinary("cpu"), True),
        (lambda: of_inference("cpu"), True),
        (lambda: ordinary("meta"), True),
        (lambda: of_inference("meta"), False),
        (lambda: ordinary("cpu", requires_grad=True), False),
        (lambda: ordinary("meta", requires_grad=True), False),
    ],
    ids=["cpu", "cpu inference", "meta", "meta inference", "cpu gradients", "meta gradients"],
)
def test_which_tensors_can_be_checked_without_waiting(make, expected):
    """Meta tensors stand for an accelerator's: reading their numbers is an error."""
    assert can_be_checked(make()) == expected


def test_where_no_gradients_are_recorded_a_parameter_can_be_checked():
    with torch.no_grad():
        assert can_be_checked(ordinary("cpu", requires_grad=True))


def test_what_cannot_be_checked_is_computed_every_time_with_its_gradients():
    asked, x = Asked(), numbers().requires_grad_()
    for _ in range(2):
        (found,) = asked.doubled(x)
        (gradient,) = torch.autograd.grad(found.sum(), x)
        assert torch.equal(gradient, torch.full_like(x, 2))
    assert asked.times == 2


def test_a_version_counts_writes_and_inference_tensors_have_none():
    x = numbers()
    before = version(x)
    x[0] = 1
    assert version(x) == before + 1
    assert version(of_inference("cpu")) is None


def test_on_an_accelerator_nothing_is_copied_to_compare_with():
    assert Seen(ordinary("meta")).copy is None
    assert not Seen(ordinary("meta")).is_like(ordinary("meta"))


# --- faults -----------------------------------------------------------------------------------


def test_a_computation_that_fails_leaves_nothing_behind():
    asked, x = Asked(), numbers()

    def fail():
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        asked.memo.recall("key", (x,), fail)
    assert torch.equal(asked.doubled(x)[0], x * 2)


def test_threads_with_inputs_of_their_own_get_their_own_answers():
    asked, wrong = Asked(), []

    def ask(seed):
        for _ in range(50):
            x = numbers(seed)
            if not torch.equal(asked.doubled(x)[0], x * 2):
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(2 * KEPT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
