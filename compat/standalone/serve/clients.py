"""Open editors and the events sent to them.

Every editor has a WebSocket and an id, which it keeps when its page is reloaded. Events about a
prompt go to the editor that queued it; the length of the queue and events from nodes go to all.
Each editor has an outbox, so that a slow one doesn't hold up the others. One that falls far behind
is disconnected, and connects again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiohttp import WSMsgType, web
from PIL import Image

from .bodies import OBJECT, check_object, parse
from .jobs import Job

log = logging.getLogger(__name__)

OUTBOX = 2000  # messages
PROGRESS_SECONDS = 0.1  # between two progress messages
PREVIEW_PIXELS = 2048  # of the longer side of a preview: words in a grid can be read
PREVIEW, PREVIEW_WITH_METADATA = 1, 4  # ComfyUI's types of binary messages
JPEG = 1


@dataclass
class Client:
    outbox: asyncio.Queue[str | bytes] = field(default_factory=lambda: asyncio.Queue(OUTBOX))
    features: dict[str, Any] = field(default_factory=dict)
    is_lost: bool = False


class Clients:
    """All open editors. greeting(id): the first events for a new connection."""

    def __init__(self, greeting: Callable[[str], list[tuple[str, dict]]], features: dict[str, Any]):
        self._greeting = greeting
        self._features = features
        self._clients: dict[str, Client] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        self._loop = asyncio.get_running_loop()
        socket = web.WebSocketResponse(heartbeat=30, max_msg_size=2**20)
        await socket.prepare(request)
        name = request.query.get("clientId") or uuid.uuid4().hex
        self._clients[name] = client = Client()
        for event, data in self._greeting(name):
            self._put(client, _as_text(event, data))
        sender = asyncio.create_task(_send(socket, client))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._hear(client, message.data)
        finally:
            sender.cancel()
            # It may have connected again before this connection ended.
            if self._clients.get(name) is client:
                del self._clients[name]
        return socket

    def _hear(self, client: Client, text: str) -> None:
        try:
            said = check_object(parse(text, "the socket"), {"data": OBJECT}, "the socket")
        except ValueError:
            return
        if said.get("type") == "feature_flags":
            client.features = said.get("data") or {}
            self._put(client, _as_text("feature_flags", self._features))

    def tell(self, event: str, data: dict, to: str | None = None) -> None:
        """Send an event to one editor or, without an id, to all. Can be called from any thread."""
        try:
            text = _as_text(event, data)
        except (TypeError, ValueError) as error:
            log.warning('event "%s" is not sent: %s', event, error)
            return
        self._from_any_thread(self._deliver, text, to)

    def show(self, image: Image.Image, place: dict, to: str) -> None:
        """Send a preview to one editor. place: the node that it belongs to."""
        file = BytesIO()
        small = image.convert("RGB")
        small.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
        small.save(file, "JPEG", quality=90)
        self._from_any_thread(self._deliver_preview, file.getvalue(), place, to)

    def _from_any_thread(self, deliver: Callable[..., None], *arguments: Any) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(deliver, *arguments)

    def _deliver(self, message: str | bytes, to: str | None) -> None:
        for name, client in list(self._clients.items()):
            if to in (None, name):
                self._put(client, message)

    def _deliver_preview(self, jpeg: bytes, place: dict, to: str) -> None:
        client = self._clients.get(to)
        if client is None:
            return
        if client.features.get("supports_preview_metadata"):
            about = json.dumps(place | {"image_type": "image/jpeg"}).encode()
            head = struct.pack(">II", PREVIEW_WITH_METADATA, len(about)) + about
        else:
            head = struct.pack(">II", PREVIEW, JPEG)
        self._put(client, head + jpeg)

    def _put(self, client: Client, message: str | bytes) -> None:
        try:
            client.outbox.put_nowait(message)
        except asyncio.QueueFull:
            client.is_lost = True
            self._clients = {n: c for n, c in self._clients.items() if c is not client}


async def _send(socket: web.WebSocketResponse, client: Client) -> None:
    try:
        while not socket.closed:
            message = await client.outbox.get()
            if client.is_lost:
                break
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_str(message)
    except ConnectionError:
        pass
    await socket.close()


def _as_text(event: str, data: dict) -> str:
    return json.dumps({"type": event, "data": data}, allow_nan=False)  # browsers can't read NaN


class Reporter:
    """Turns the executor's events into messages for the editor that queued the job."""

    def __init__(self, clients: Clients):
        self._clients = clients
        self._job: Job | None = None
        self._nodes: dict[str, dict] = {}  # progress by node
        self._told = 0.0  # when progress was last sent
        self.node: str | None = None  # the running node
        self.messages: list[tuple[str, dict]] = []  # for the history

    @property
    def client(self) -> str | None:
        return self._job.client if self._job else None

    @property
    def _prompt_id(self) -> str:
        assert self._job is not None  # the executor reports only between begin and end
        return self._job.prompt_id

    def begin(self, job: Job) -> None:
        self._job, self._nodes, self.messages = job, {}, []

    def end(self) -> None:
        prompt_id, client = self._prompt_id, self.client
        self._job = self.node = None
        if client:
            self._clients.tell("executing", {"node": None, "prompt_id": prompt_id}, client)

    def standing(self) -> list[tuple[str, dict]]:
        """Events that tell a reloaded editor which node runs, and its progress."""
        if self._job is None or self.node is None:
            return []
        prompt = {"prompt_id": self._job.prompt_id}
        return [
            ("execution_start", prompt | {"timestamp": int(time.time() * 1000)}),
            ("executing", prompt | {"node": self.node, "display_node": self.node}),
            ("progress_state", self._progress_state()),
        ]

    def note(self, event: str, data: dict) -> None:
        if event == "preview":
            if self.client:
                self._clients.show(data["image"], self._place(data["node"]), self.client)
            return
        if event == "progress":
            self._progress(data)
            return
        if event.startswith("execution_"):
            data = data | {"timestamp": int(time.time() * 1000)}
            self.messages.append((event, data))
        if event in ("executing", "execution_success"):
            for state in self._nodes.values():
                state.update(state="finished", value=state["max"])
        if event == "executing":
            self.node = node = str(data["node"])
            self._nodes[node] = self._place(node) | {"value": 0, "max": 1, "state": "running"}
        self._tell(event, data)
        if event in ("executing", "execution_success"):
            self._tell_progress()

    def _progress(self, data: dict) -> None:
        value, most = data["value"], data["max"]
        state = self._nodes.get(data["node"])
        if state:
            state.update(value=value, max=most)
        now = time.monotonic()
        if value < most and now - self._told < PROGRESS_SECONDS:
            return
        self._told = now
        self._tell("progress", data)
        self._tell_progress()

    def _tell_progress(self) -> None:
        self._tell("progress_state", self._progress_state())

    def _progress_state(self) -> dict:
        nodes = {name: dict(state) for name, state in list(self._nodes.items())}
        return {"prompt_id": self._prompt_id, "nodes": nodes}

    def _tell(self, event: str, data: dict) -> None:
        if self.client:
            self._clients.tell(event, data, self.client)

    def _place(self, node_id: str) -> dict:
        return {
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
