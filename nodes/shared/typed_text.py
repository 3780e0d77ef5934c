"""Checks text that was typed into a widget, before anything runs."""

from collections.abc import Callable


def fault_of(read: Callable[[str], object], text: str | None) -> bool | str:
    """For validate_inputs: True, or what is wrong with the text. None is not known yet, so True."""
    try:
        return True if text is None else bool(read(text))
    except ValueError as fault:
        return str(fault)
