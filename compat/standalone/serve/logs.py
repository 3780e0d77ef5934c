"""The log lines for the editor's log panel."""

from __future__ import annotations

import logging
import time
from collections import deque

from aiohttp import web

MOST_LINES = 300


class LogLines(logging.Handler):
    """Collects the last log lines and gives them to the panel."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[dict] = deque(maxlen=MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
        self.lines.append({"t": when, "m": f"{record.levelname}: {record.getMessage()}\n"})

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/internal/logs", self.get_logs),
            web.get("/internal/logs/raw", self.get_raw_logs),
            web.patch("/internal/logs/subscribe", self.subscribe),
        ]

    async def get_logs(self, request: web.Request) -> web.Response:
        return web.json_response("".join(f"{line['t']} - {line['m']}" for line in self.lines))

    async def get_raw_logs(self, request: web.Request) -> web.Response:
        entries = {"entries": list(self.lines), "size": {"cols": 120, "rows": 50}}
        return web.json_response(entries)

    async def subscribe(self, request: web.Request) -> web.Response:
        return web.Response()  # no lines are pushed; the editor requests them
