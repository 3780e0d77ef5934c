"""Each fault that validate_inputs finds is shown on its own input, once."""

import pytest
from hypernet_pack.compat.faults import Faults, on_their_inputs


def refusals(answer, *names):
    """As ComfyUI makes them of one answer."""
    return [
        {
            "type": "custom_validation_failed",
            "message": "Custom validation failed for node",
            "details": f"{name} - {answer}",
            "extra_info": {"input_name": name},
        }
        for name in names
    ]


def details(errors):
    return [error["details"] for error in errors]


def answer_of(**sentences):
    faults = Faults()
    for name, sentence in sentences.items():
        with faults.of(name):
            raise ValueError(sentence)
    return faults.answer()


def test_without_faults_the_answer_is_true():
    faults = Faults()
    with faults.of("rate"):
        pass
    assert faults.answer() is True and "rate" not in faults


def test_the_answer_names_each_input_and_gives_its_first_fault():
    faults = Faults()
    for name, error in [("rate", ValueError("a")), ("file", OSError("b")), ("rate", OSError("c"))]:
        with faults.of(name):
            raise error
    assert faults.answer() == "rate: a\nfile: b"
    assert "rate" in faults and "name" not in faults


def test_an_error_of_another_kind_is_no_fault_of_the_user():
    faults = Faults()
    with pytest.raises(TypeError), faults.of("rate"):
        raise TypeError("a mistake of ours")


PLACED = [
    # the answer, what then stands on "name", "rate" and "from"
    (answer_of(rate="Too fast."), ["rate - Too fast."]),
    (answer_of(rate="Too fast.", name="Too long."), ["name - Too long.", "rate - Too fast."]),
    (answer_of(rate="Twice:\na: 1\nb"), ["rate - Twice:\na: 1\nb"]),
    (answer_of(rate='"rate: 5" is none.'), ['rate - "rate: 5" is none.']),
    ("Nothing fits.", ["name - Nothing fits.", "rate - Nothing fits.", "from - Nothing fits."]),
    ("Odd: it fits.", ["name - Odd: it fits.", "rate - Odd: it fits.", "from - Odd: it fits."]),
]


@pytest.mark.parametrize(("answer", "expected"), PLACED)
def test_each_fault_is_on_its_own_input_and_one_without_an_input_on_all(answer, expected):
    assert details(on_their_inputs(refusals(answer, "name", "rate", "from"))) == expected


def test_errors_of_other_types_stay():
    small = {"type": "value_smaller_than_min", "details": "rate: 0", "extra_info": {}}
    found = on_their_inputs([small, *refusals("rate: Too fast.", "name", "rate")])
    assert found[0] is small and details(found) == ["rate: 0", "rate - Too fast."]
