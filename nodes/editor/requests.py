"""Checks the bodies of the editor's requests, because they come over the network."""

from typing import Any


def values(body: object, kinds: dict[str, type]) -> dict[str, Any]:
    """These values of a request's body.

    Raises ValueError naming those that are missing or of another type.
    """
    given = body if isinstance(body, dict) else {}
    wrong = [
        f"{name} ({kind.__name__})"
        for name, kind in kinds.items()
        if type(given.get(name)) is not kind
    ]
    if wrong:
        raise ValueError(f"The request lacks {', '.join(wrong)}, or has something else there.")
    return {name: given[name] for name in kinds}
