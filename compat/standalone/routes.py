"""What nodes say to editors that are open, and what they answer them."""

from __future__ import annotations

from collections.abc import Callable

Answer = Callable[[dict[str, str], object], object]

routes: dict[tuple[str, str], Answer] = {}  # by method and path
listeners: list[Callable[[str, dict], None]] = []  # a server adds its own
queues: list[Callable[[], list[dict]]] = []  # likewise


def send_event(name: str, data: dict) -> None:
    for listen in list(listeners):
        listen(name, data)


def queued_prompts() -> list[dict]:
    return [prompt for queue in list(queues) for prompt in queue()]


def add_route(method: str, path: str, answer: Answer) -> None:
    routes[method, path] = answer
