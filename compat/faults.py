"""Shows each fault that validate_inputs finds on the input that it is about.

A node can return only one text, and ComfyUI puts a copy of it on every input that validate_inputs
names. So the text has one line per fault, beginning with the name of its input:

    learning_rate: "fast" is not a rate …
    continue_from: There is no hypernetwork "inkk" …

That is readable wherever it appears. In both hosts `on_their_inputs` then splits the copies, so
that each input shows only its own line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

REFUSED = "custom_validation_failed"  # ComfyUI's error type for what validate_inputs refuses


class Faults:
    """Collects the first fault of each input.

    with faults.of("name"):
        check_name(name)
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Record a ValueError or OSError raised in the block as the fault of this input."""
        try:
            yield
        except (OSError, ValueError) as fault:
            self._found.setdefault(name, str(fault))

    def answer(self) -> bool | str:
        """The result for validate_inputs: one line per fault, or True if there are none."""
        return "\n".join(f"{name}: {said}" for name, said in self._found.items()) or True


def on_their_inputs(errors: Sequence[dict]) -> list[dict]:
    """One node's errors, in ComfyUI's format, with each fault only on its own input.

    Errors that name no input stay where they are.
    """
    names = {_input_of(error) for error in errors if error["type"] == REFUSED}
    found = []
    for error in errors:
        name, answer = _input_of(error), str(error["details"])
        said = _by_input(answer.removeprefix(f"{name} - "), names)
        if error["type"] != REFUSED or not said:
            found.append(error)
        elif name in said:
            found.append(error | {"details": f"{name} - {said[name]}"})
    return found


def _input_of(error: dict) -> str:
    return error["extra_info"].get("input_name", "")


def _by_input(answer: str, names: Collection[str]) -> dict[str, str]:
    """The sentences of an answer by input; {} unless it begins with the name of an input."""
    said: dict[str, str] = {}
    last = ""
    for line in answer.split("\n"):
        name, colon, sentence = line.partition(": ")
        if colon and name in names and name not in said:
            said[name], last = sentence, name
        elif not said:
            return {}
        else:  # a sentence may have several lines
            said[last] += f"\n{line}"
    return said
