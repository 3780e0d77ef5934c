"""`hypernet serve`: ComfyUI's graph editor on the stand-in host, for users without ComfyUI.

It implements the part of ComfyUI's HTTP and WebSocket API that the editor and scripts use, at the
same paths and under /api. Left out: several users, asset hashes, terminals, and what needs the
internet; such paths give a 404. By default it only accepts requests from this machine.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from .. import folders
from ..graph.executor import Executor
from ..graph.node_class import ComfyNode
from ..progress import request_interrupt
from ..routes import Answer, Editors, speaking_to
from . import frontend, model_lists, pictures
from .bodies import read_json, read_object
from .clients import Clients, Reporter
from .frontend import send_file, send_page
from .gate import POLICY, is_loopback, refusal
from .host_routes import FEATURES, UPLOAD_BYTES, HostRoutes
from .jobs import Job, Jobs
from .logs import LogLines
from .queue_routes import QueueRoutes

log = logging.getLogger(__name__)

BEEN_HERE, TEN_YEARS = "hypernet_been_here", 10 * 366 * 86400  # a cookie, and seconds
STOP_SECONDS = 600  # how long a node may take to save its work after the first Ctrl-C


class Server:
    """The nodes, their queue and the open editors. Call start() before the first request.

    pack_routes: the routes that the node pack answers, see routes.collected_routes.
    """

    def __init__(
        self,
        nodes: Iterable[type[ComfyNode]],
        frontend: Path,
        pack_routes: Mapping[tuple[str, str], Answer] = MappingProxyType({}),
        *,
        loopback: bool = True,
    ):
        self.frontend = frontend
        self.pack_routes = pack_routes
        self.loopback = loopback
        self.clients = Clients(self._greeting, FEATURES)
        self.reporter = Reporter(self.clients)
        self.executor = Executor(nodes, self.reporter.note)
        self.jobs = Jobs(lambda: self.clients.tell("status", self._status()))
        self.editors = Editors(self.clients.tell, self.jobs.prompts)
        self.queue = QueueRoutes(self.jobs, self.executor.nodes)
        self.host = HostRoutes(self.executor.nodes, frontend)
        self.log_lines = LogLines()
        self._forget = False
        work = contextvars.copy_context().run  # so that the worker sees the configured folders
        self._worker = threading.Thread(target=work, args=(self._work,), name="worker", daemon=True)

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        """Ask the running node to stop, and give it time to save its work."""
        self.jobs.close()
        self._worker.join(STOP_SECONDS)

    def _status(self) -> dict:
        return {"status": self.queue.status()}

    def _greeting(self, client: str) -> list[tuple[str, dict]]:
        greeting = [("status", self._status() | {"sid": client})]
        if self.reporter.client == client:  # its page was reloaded
            greeting += self.reporter.standing()
        return greeting

    def _work(self) -> None:
        while job := self.jobs.take():
            with speaking_to(self.editors):
                self._carry_out(job)
            if self._forget:
                self.executor.kept, self._forget = {}, False
                from ..model.models import free_memory

                free_memory()

    def _carry_out(self, job: Job) -> None:
        self.reporter.begin(job)
        shown, completed = {"outputs": {}, "meta": {}}, False
        try:
            run = self.executor.run_outputs(
                job.prompt, job.outputs, job.extra_data.get("extra_pnginfo"), job.prompt_id
            )
            shown, completed = run.history, run.status == "success"
            if run.error and run.status == "error":
                kind, words = run.error["exception_type"], run.error["exception_message"]
                log.warning("%s failed: %s: %s", run.error["node_type"], kind, words)
        except Exception:  # a bug in the host itself must not keep the next job from running
            log.exception("a job could not be run")
        self.jobs.finish(shown, completed, self.reporter.messages)
        self.reporter.end()

    # The editor's requests

    def routes(self) -> list[web.RouteDef]:
        """All paths; `application` also offers them under /api."""
        ours = [web.get("/ws", self.clients.connect), web.post("/free", self._free)]
        ours += self.queue.table() + self.host.table() + self.log_lines.table()
        pack = [
            web.route(method, path, _as_handler(respond))
            for (method, path), respond in self.pack_routes.items()
        ]
        return ours + pack

    async def _free(self, request: web.Request) -> web.Response:
        asked = await read_object(request)
        self._forget = bool(asked.get("unload_models") or asked.get("free_memory"))
        return web.Response()

    def application(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Callable) -> web.StreamResponse:
            opens_page = request.method == "GET" and request.path == "/"
            reason = refusal(request.headers, opens_page=opens_page, loopback=self.loopback)
            if reason:
                log.warning("refused %s %s: %s", request.method, request.path, reason)
                return web.json_response({"error": reason}, status=403)
            try:
                with speaking_to(self.editors):
                    return await handler(request)
            except ValueError as fault:
                return web.json_response({"error": str(fault)}, status=400)
            # raised while the body is read
            except (HttpProcessingError, web.RequestPayloadError) as fault:
                words = f"the body of {request.path} cannot be read: {fault}"
                return web.json_response({"error": words}, status=400)
            except OSError as fault:
                words = str(fault) if fault.errno is None else os.strerror(fault.errno)
                return web.json_response({"error": words}, status=404)

        async def page(request: web.Request) -> web.StreamResponse:
            if request.path_qs == "/" and BEEN_HERE not in request.cookies:
                return _open_first_template()
            path = request.match_info["path"] or "index.html"
            if path.startswith("api/"):
                log.info("unknown: %s %s", request.method, request.path_qs)
                raise FileNotFoundError(f"this host has no {request.path}.")
            response = send_page(folders.within(self.frontend, path))
            if path == "index.html":
                response.headers["Content-Security-Policy"] = POLICY
            return response

        app = web.Application(middlewares=[guard], client_max_size=UPLOAD_BYTES)
        for each in (*self.routes(), *frontend.routes, *pictures.routes, *model_lists.routes):
            assert isinstance(each, web.RouteDef)  # the tables have no folders of static files
            for prefix in ("", "/api"):
                app.router.add_route(each.method, prefix + each.path, each.handler)
        app.router.add_get("/{path:.*}", page)
        return app


def _open_first_template() -> web.Response:
    """Sends a browser that comes for the first time on to the template for that.

    Else the editor would open with a graph of its own, whose model nobody has.
    """
    there = f"/?template={frontend.FIRST_TEMPLATE}&source={frontend.PACK}"
    response = web.Response(status=302, headers={"Location": there})
    response.set_cookie(BEEN_HERE, "1", max_age=TEN_YEARS, httponly=True, samesite="Strict")
    return response


def _as_handler(respond: Answer) -> Callable:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await read_json(request) if request.can_read_body else None
        found = await asyncio.to_thread(respond, dict(request.query), body)
        return send_file(found) if isinstance(found, Path) else web.json_response(found)

    return handle


def serve(server: Server, address: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, which lets a running node save its work; a second one stops at once.

    say: called with sentences about where the editor is. Raises OSError if the port is taken.
    """
    logging.getLogger().addHandler(server.log_lines)
    try:
        asyncio.run(_serve(server, address, port, say))
    finally:
        logging.getLogger().removeHandler(server.log_lines)


async def _serve(server: Server, address: str, port: int, say: Callable[[str], None]) -> None:
    loop, ended, asked = asyncio.get_running_loop(), asyncio.Event(), []

    def end(*_: object) -> None:
        if asked:
            os._exit(130)
        asked.append(True)
        request_interrupt()
        loop.call_soon_threadsafe(ended.set)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, end)
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, address, port)
    await site.start()
    server.start()
    port = runner.addresses[0][1]  # port 0 means any free one
    shown = f"[{address}]" if ":" in address else address
    say(f"The graph editor is at http://{shown}:{port} — stop with Ctrl-C.")
    if not is_loopback(address):
        say("Anybody who can reach this address can run graphs and see the files of its folders.")
    await ended.wait()
    if server.jobs.left():
        say("Stopping after this step. Press Ctrl-C again to stop at once.")
    await asyncio.to_thread(server.stop)
    await runner.cleanup()
