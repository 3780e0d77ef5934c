"""Connects nodes with open editors: events that nodes send, and routes that they answer."""

from __future__ import annotations

from collections.abc import Callable

Answer = Callable[[dict[str, str], object], object]

routes: dict[tuple[str, str], Answer] = {}  # by method and path
listeners: list[Callable[[str, dict], None]] = []  # called with events; a server adds its own
queues: list[Callable[[], list[dict]]] = []  # list queued prompts; a server adds its own


def send_event(name: str, data: dict) -> None:
    for listen in list(listeners):
        listen(name, data)


def queued_prompts() -> list[dict]:
    return [prompt for queue in list(queues) for prompt in queue()]


def add_route(method: str, path: str, answer: Answer) -> None:
    routes[method, path] = answer
