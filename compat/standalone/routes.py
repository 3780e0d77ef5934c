"""Connects nodes with open editors: events that nodes send, and routes that they answer.

Routes are collected while the pack is loaded; a server is then made with them. A context variable
holds the editors that a node reaches. The server sets it for every job and every request, so a
thread that a node starts sees it only in a copy of the node's context. Without a server, events
are lost and routes are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

Answer = Callable[[dict[str, str], object], object]
Routes = dict[tuple[str, str], Answer]  # by method and path
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Editors:
    """The open editors of one server. tell(event, data) reaches all of them; prompts() gives the
    prompts that run or wait."""

    tell: Callable[[str, dict], None]
    prompts: Callable[[], list[dict]]
    kept: dict[str, Any] = field(default_factory=dict)  # the pack's, by name


_editors: ContextVar[Editors | None] = ContextVar("editors", default=None)
_collected: ContextVar[Routes | None] = ContextVar("collected routes", default=None)


@contextmanager
def speaking_to(editors: Editors) -> Iterator[None]:
    """What runs inside the block reaches these editors."""
    token = _editors.set(editors)
    try:
        yield
    finally:
        _editors.reset(token)


@contextmanager
def collected_routes() -> Iterator[Routes]:
    """The routes that are added inside the block."""
    routes: Routes = {}
    token = _collected.set(routes)
    try:
        yield routes
    finally:
        _collected.reset(token)


def send_event(name: str, data: dict) -> None:
    if editors := _editors.get():
        editors.tell(name, data)


def queued_prompts() -> list[dict]:
    editors = _editors.get()
    return editors.prompts() if editors else []


def kept(name: str, make: Callable[[], Kept]) -> Kept:
    editors = _editors.get()
    return editors.kept.setdefault(name, make()) if editors else make()


def add_route(method: str, path: str, answer: Answer) -> None:
    routes = _collected.get()
    if routes is not None:
        routes[method, path] = answer
