"""Finds the input that each saved widget value belongs to.

The editor saves a node's values as a bare list, in the order of the widgets in the node's schema:
required inputs before optional ones, and the inputs of a chosen option right after their choice.
After a seed there is one more value, which says how the seed changes for the next run. Some packs
save an object by name instead.

Values of older versions are converted as the editor does it: true and false after a seed,
"sample_euler", and values for inputs that no longer have a widget. A widget that is missing in the
file gets its default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .socket_types import Combo, DynamicCombo, Int, String, WidgetInput
from .socket_types import Input as InputSocket
from .workflow_file import WorkflowError

_CONTROLS = ("fixed", "increment", "increment-wrap", "decrement", "randomize")
_OLD_CONTROLS = (True, False)  # meant randomize and fixed until spring 2023
_OLD_SAMPLER = "sample_"  # the prefix of samplers' names until spring 2023
_ABSENT = object()


def widget_inputs(sockets: Sequence[InputSocket], saved: list | dict | None) -> dict[str, Any]:
    """Values by input id. Raises WorkflowError if the values don't fit the node."""
    if isinstance(saved, dict):
        return _by_name(sockets, saved, "")
    now = _Reading(list(saved or ()), dummies=False)
    now.read(sockets)
    before = _Reading(list(saved or ()), dummies=True)
    before.read(sockets)
    reading = before if before.fits and not now.fits else now
    if reading.fault:
        raise WorkflowError(reading.fault)
    return reading.inputs


def _by_name(sockets: Sequence[InputSocket], saved: dict, prefix: str) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for socket in filter(has_widget, sockets):
        value = _as_now(socket, saved.get(prefix + socket.id))
        if prefix + socket.id in saved and value is not None:
            inputs[prefix + socket.id] = wrapped(value)
        if isinstance(socket, DynamicCombo.Input) and (option := socket.chosen(value)):
            inputs |= _by_name(option.inputs, saved, f"{prefix}{socket.id}.")
    return inputs


@dataclass
class _Reading:
    """One way to read the list. dummies: it has values for inputs that have lost their widget."""

    values: list
    dummies: bool
    place: int = 0
    missing: int = 0
    fault: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        return not (self.fault or self.missing) and self.place == len(self.values)

    def read(self, sockets: Sequence[InputSocket]) -> None:
        required = [socket for socket in sockets if not socket.optional]
        self.take(required, "")
        if any(isinstance(each, Combo.Input) and each.upload for each in required):
            self.place += self.place < len(self.values)  # the upload button counts as a widget
        self.take([socket for socket in sockets if socket.optional], "")

    def take(self, sockets: Sequence[InputSocket], prefix: str) -> None:
        for socket in sockets:
            if not has_widget(socket):
                if self.dummies and getattr(socket, "force_input", False):
                    self.next()
                continue
            value = _as_now(socket, self.next())
            if value is not None:
                self.inputs[prefix + socket.id] = wrapped(value)
            if isinstance(socket, DynamicCombo.Input) and (option := socket.chosen(value)):
                self.take(option.inputs, f"{prefix}{socket.id}.")
            if _has_control(socket):
                self.skip_control()

    def next(self) -> Any:
        if self.place == len(self.values):
            self.missing += 1
            return _ABSENT
        self.place += 1
        return self.values[self.place - 1]

    def skip_control(self) -> None:
        word = self.next()
        if word is not _ABSENT and not any(word is old for old in _OLD_CONTROLS):
            if not isinstance(word, str) or word not in _CONTROLS:
                self.fault = self.fault or (
                    f'the value "{word}" follows a seed, where one of {", ".join(_CONTROLS)} '
                    "belongs. The workflow was saved by another version of the node; "
                    "save it anew in ComfyUI."
                )


def has_widget(socket: InputSocket) -> bool:
    if isinstance(socket, DynamicCombo.Input):
        return True
    return isinstance(socket, WidgetInput) and not socket.force_input


def _as_now(socket: InputSocket, value: Any) -> Any:
    """The value as this version writes it; the default if there is none."""
    choice = isinstance(socket, (Combo.Input, DynamicCombo.Input))
    if value is _ABSENT or (value is None and choice):
        return default_of(socket)
    if isinstance(socket, Combo.Input) and isinstance(value, str):
        options = socket.options or ()
        name = value.removeprefix(_OLD_SAMPLER)
        return name if value not in options and name in options else value
    return value


def _has_control(socket: InputSocket) -> bool:
    control = getattr(socket, "control_after_generate", None)
    if control is None and isinstance(socket, Int.Input):
        return socket.id in ("seed", "noise_seed")
    return bool(control)


def default_of(socket: InputSocket) -> Any:
    """The value in a new node of the editor; None for an input without a widget."""
    options = getattr(socket, "options", None)
    default = getattr(socket, "default", None)
    if default is not None:
        return default
    if isinstance(socket, DynamicCombo.Input):
        return options[0].key if options else None
    if isinstance(socket, Combo.Input):
        return [] if socket.multiselect else (options or [None])[0]
    return "" if isinstance(socket, String.Input) else None


def wrapped(value: Any) -> Any:
    """The value for a prompt. A list is boxed, because plain lists are links."""
    return {"__value__": value} if isinstance(value, list) else value
