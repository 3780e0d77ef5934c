"""Text typed into a widget: what is wrong with it, before anything runs."""

from collections.abc import Callable


def fault_of(read: Callable[[str], object], text: str | None) -> bool | str:
    """What is wrong with a text, if it is known yet."""
    try:
        return True if text is None else bool(read(text))
    except ValueError as fault:
        return str(fault)
