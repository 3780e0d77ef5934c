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
import platform
import signal
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from .. import folders
from .. import routes as editor
from ..graph.executor import Executor
from ..graph.node_class import ComfyNode
from ..graph.object_info import describe
from ..graph.validation import validate_prompt
from ..progress import request_interrupt
from . import frontend, model_lists, pictures
from .bodies import NUMBER, OBJECT, TEXT, TEXTS, read_json, read_object
from .clients import Clients, Reporter
from .frontend import PACK, extensions, send_file, send_page
from .gate import POLICY, is_loopback, refusal
from .jobs import Job, Jobs

log = logging.getLogger(__name__)

UPLOAD_BYTES = 100 * 2**20
LOG_LINES = 300
FEATURES = {"supports_preview_metadata": True, "max_upload_size": UPLOAD_BYTES}
PROMPT = {
    "prompt": OBJECT,
    "prompt_id": TEXT,
    "client_id": TEXT,
    "number": NUMBER,
    "partial_execution_targets": TEXTS,
    "extra_data": OBJECT,
    "extra_data.client_id": TEXT,
    "extra_data.extra_pnginfo": OBJECT,
    "extra_data.extra_pnginfo.workflow": OBJECT,
}
STOP_SECONDS = 600  # how long a node may take to save its work after the first Ctrl-C


class Server:
    """The nodes, their queue and the open editors. Call start() before the first request."""

    def __init__(self, nodes: Iterable[type[ComfyNode]], frontend: Path, *, loopback: bool = True):
        self.frontend = frontend
        self.loopback = loopback
        self.clients = Clients(self._greeting, FEATURES)
        self.reporter = Reporter(self.clients)
        self.executor = Executor(nodes, self.reporter.note)
        self.jobs = Jobs(lambda: self.clients.tell("status", self._status()))
        self.lines: deque[dict] = deque(maxlen=LOG_LINES)
        self._forget = False
        work = contextvars.copy_context().run  # so that the worker sees the configured folders
        self._worker = threading.Thread(target=work, args=(self._work,), name="worker", daemon=True)

    def start(self) -> None:
        editor.listeners.append(self._tell_all)
        editor.queues.append(self.jobs.prompts)
        self._worker.start()

    def stop(self) -> None:
        """Ask the running node to stop, and give it time to save its work."""
        self.jobs.close()
        self._worker.join(STOP_SECONDS)
        editor.listeners.remove(self._tell_all)
        editor.queues.remove(self.jobs.prompts)

    def _tell_all(self, name: str, data: dict) -> None:
        self.clients.tell(name, data)

    def _status(self) -> dict:
        return {"status": {"exec_info": {"queue_remaining": self.jobs.left()}}}

    def _greeting(self, client: str) -> list[tuple[str, dict]]:
        greeting = [("status", self._status() | {"sid": client})]
        if self.reporter.client == client:  # its page was reloaded
            greeting += self.reporter.standing()
        return greeting

    def _work(self) -> None:
        while job := self.jobs.take():
            self.reporter.begin(job)
            shown, completed = {"outputs": {}, "meta": {}}, False
            try:
                run = self.executor.run_outputs(
                    job.prompt, job.outputs, job.extra_data.get("extra_pnginfo"), job.prompt_id
                )
                shown, completed = run.history, run.status == "success"
                if run.status == "error":
                    kind, words = run.error["exception_type"], run.error["exception_message"]
                    log.warning("%s failed: %s: %s", run.error["node_type"], kind, words)
            except Exception:  # a bug in the host itself must not keep the next job from running
                log.exception("a job could not be run")
            self.jobs.finish(shown, completed, self.reporter.messages)
            self.reporter.end()
            if self._forget:
                self.executor.kept, self._forget = {}, False
                from ..model.models import free_memory

                free_memory()

    # The editor's requests

    def routes(self) -> web.RouteTableDef:
        """All paths; `application` also offers them under /api."""
        routes = web.RouteTableDef()
        route, answer = routes.route, web.json_response

        @route("GET", "/ws")
        async def socket(request: web.Request) -> web.WebSocketResponse:
            return await self.clients.connect(request)

        @route("GET", "/prompt")
        async def get_prompt(request: web.Request) -> web.Response:
            return answer(self._status()["status"])

        @route("POST", "/prompt")
        async def post_prompt(request: web.Request) -> web.Response:
            asked = await read_object(request, PROMPT)
            status, content = await asyncio.to_thread(self.queue, asked)
            return answer(content, status=status)

        @route("GET", "/queue")
        async def get_queue(request: web.Request) -> web.Response:
            running, waiting = ([job.as_list() for job in jobs] for jobs in self.jobs.queue())
            return answer({"queue_running": running, "queue_pending": waiting})

        @route("POST", "/queue")
        async def post_queue(request: web.Request) -> web.Response:
            asked = await read_object(request, {"delete": TEXTS})
            if asked.get("clear"):
                self.jobs.clear()
            self.jobs.remove(asked.get("delete") or ())
            return web.Response()

        @route("GET", "/history")
        async def get_history(request: web.Request) -> web.Response:
            most, offset = request.query.get("max_items"), request.query.get("offset", -1)
            return answer(self.jobs.history(int(most) if most else None, int(offset)))

        @route("GET", "/history/{id}")
        async def get_history_entry(request: web.Request) -> web.Response:
            name = request.match_info["id"]
            history = self.jobs.history()
            return answer({name: history[name]} if name in history else {})

        @route("POST", "/history")
        async def post_history(request: web.Request) -> web.Response:
            asked = await read_object(request, {"delete": TEXTS})
            if asked.get("clear"):
                self.jobs.forget()
            self.jobs.forget(asked.get("delete") or ())
            return web.Response()

        @route("POST", "/interrupt")
        async def interrupt(request: web.Request) -> web.Response:
            kinds = {"prompt_id": TEXT}
            asked = await read_object(request, kinds) if request.can_read_body else {}
            self.jobs.interrupt(asked.get("prompt_id"))
            return web.Response()

        @route("POST", "/free")
        async def free(request: web.Request) -> web.Response:
            asked = await read_object(request)
            self._forget = bool(asked.get("unload_models") or asked.get("free_memory"))
            return web.Response()

        @route("GET", "/jobs")
        async def get_jobs(request: web.Request) -> web.Response:
            return answer(_page_of_jobs(self.jobs.summaries(), request.query))

        @route("GET", "/jobs/{id}")
        async def get_job(request: web.Request) -> web.Response:
            job = self.jobs.details(request.match_info["id"])
            return answer(job) if job else answer({"error": "Job not found"}, status=404)

        @route("POST", "/jobs/cancel")
        async def cancel_jobs(request: web.Request) -> web.Response:
            asked = await read_object(request, {"job_ids": TEXTS})
            cancelled = [self.jobs.cancel(each) for each in asked.get("job_ids") or ()]
            return answer({"cancelled": any(cancelled)})

        @route("POST", "/jobs/{id}/cancel")
        async def cancel_job(request: web.Request) -> web.Response:
            return answer({"cancelled": self.jobs.cancel(request.match_info["id"])})

        @route("GET", "/object_info")
        async def get_object_info(request: web.Request) -> web.Response:
            return answer(await asyncio.to_thread(self.descriptions, list(self.executor.nodes)))

        @route("GET", "/object_info/{node}")
        async def get_node_info(request: web.Request) -> web.Response:
            return answer(await asyncio.to_thread(self.descriptions, [request.match_info["node"]]))

        @route("GET", "/extensions")
        async def get_extensions(request: web.Request) -> web.Response:
            return answer(extensions(self.frontend))

        @route("GET", "/features")
        async def get_features(request: web.Request) -> web.Response:
            return answer(FEATURES)

        @route("GET", "/system_stats")
        async def get_system_stats(request: web.Request) -> web.Response:
            return answer(system_stats())

        @route("GET", "/global_subgraphs")
        @route("GET", "/node_replacements")
        async def get_nothing(request: web.Request) -> web.Response:
            return answer({})  # there are none

        @route("GET", "/internal/logs")
        async def get_logs(request: web.Request) -> web.Response:
            return answer("".join(f"{line['t']} - {line['m']}" for line in self.lines))

        @route("GET", "/internal/logs/raw")
        async def get_raw_logs(request: web.Request) -> web.Response:
            return answer({"entries": list(self.lines), "size": {"cols": 120, "rows": 50}})

        @route("PATCH", "/internal/logs/subscribe")
        async def subscribe(request: web.Request) -> web.Response:
            return web.Response()  # no lines are pushed; the editor requests them

        @route("GET", "/internal/folder_paths")
        async def get_folder_paths(request: web.Request) -> web.Response:
            names = model_lists.model_folder_names()
            return answer({name: [str(f) for f in folders.model_folders(name)] for name in names})

        for (method, path), respond in editor.routes.items():
            route(method, path)(_as_handler(respond))
        return routes

    def queue(self, asked: dict[str, Any]) -> tuple[int, dict]:
        """Queue what was posted to /prompt. Returns the status and content of the answer."""
        prompt = asked.get("prompt")
        if prompt is None:
            return 400, _refusal("no_prompt", "Nothing to run", 'the request has no "prompt".')
        prompt_id = asked.get("prompt_id") or str(uuid.uuid4())
        if self.jobs.knows(prompt_id):
            fault = f'the prompt_id "{prompt_id}" is taken. Give another, or none.'
            return 400, _refusal("invalid_prompt_id", "The prompt was not queued", fault)
        only = asked.get("partial_execution_targets")
        good, error, outputs, node_errors = validate_prompt(prompt, self.executor.nodes, only)
        if not good:
            return 400, {"error": error, "node_errors": node_errors}
        extra = (asked.get("extra_data") or {}) | {"create_time": int(time.time() * 1000)}
        if "client_id" in asked:
            extra["client_id"] = asked["client_id"]
        number = asked.get("number")
        if number is None:
            number = self.jobs.number(front=bool(asked.get("front")))
        self.jobs.add(Job(float(number), prompt_id, prompt, extra, outputs))
        return 200, {"prompt_id": prompt_id, "number": number, "node_errors": node_errors}

    def descriptions(self, names: Iterable[str]) -> dict[str, dict]:
        nodes = self.executor.nodes
        return {name: _described(nodes[name]) for name in names if name in nodes}

    def application(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Callable) -> web.StreamResponse:
            opens_page = request.method == "GET" and request.path == "/"
            reason = refusal(request.headers, opens_page=opens_page, loopback=self.loopback)
            if reason:
                log.warning("refused %s %s: %s", request.method, request.path, reason)
                return web.json_response({"error": reason}, status=403)
            try:
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
            for prefix in ("", "/api"):
                app.router.add_route(each.method, prefix + each.path, each.handler)
        app.router.add_get("/{path:.*}", page)
        return app


def _as_handler(respond: editor.Answer) -> Callable:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await read_json(request) if request.can_read_body else None
        found = await asyncio.to_thread(respond, dict(request.query), body)
        return send_file(found) if isinstance(found, Path) else web.json_response(found)

    return handle


def _refusal(kind: str, message: str, details: str) -> dict:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return {"error": error, "node_errors": {}}


def _described(node: type[ComfyNode]) -> dict[str, Any]:
    is_core = node.__module__.endswith(".nodes.core")
    return describe(node) | {"python_module": "nodes" if is_core else f"custom_nodes.{PACK}"}


def _page_of_jobs(jobs: list[dict], query: Mapping[str, str]) -> dict:
    wanted = [word for word in query.get("status", "").lower().split(",") if word]
    workflow = query.get("workflow_id")
    jobs = [
        job
        for job in jobs
        if (not wanted or job["status"] in wanted)
        and (not workflow or job.get("workflow_id") == workflow)
    ]

    def duration(job: dict) -> int:
        return job.get("execution_end_time", 0) - job.get("execution_start_time", 0)

    by_duration = query.get("sort_by") == "execution_duration"
    key = duration if by_duration else lambda job: job.get("create_time", 0)
    jobs.sort(key=key, reverse=query.get("sort_order", "desc").lower() != "asc")
    offset = max(0, int(query.get("offset", 0)))
    limit = int(query["limit"]) if "limit" in query else None
    page = jobs[offset : None if limit is None else offset + limit]
    more = offset + len(page) < len(jobs)
    place = {"offset": offset, "limit": limit, "total": len(jobs), "has_more": more}
    return {"jobs": page, "pagination": place}


def system_stats() -> dict[str, Any]:
    from ..host import host_name
    from ..model.checkpoint import torch_device

    device = torch_device()
    total, free = _memory()
    if device.type == "cuda":
        there, whole = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
    else:
        there, whole, name = free, total, device.type
    described = {
        "name": name,
        "type": device.type,
        "index": device.index,
        "vram_total": whole,
        "vram_free": there,
        "torch_vram_total": whole,
        "torch_vram_free": there,
    }
    return {
        "system": {
            "os": sys.platform,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": host_name(),
            "python_version": platform.python_version(),
            "pytorch_version": torch.__version__,
            "embedded_python": False,
            "argv": ["hypernet", "serve"],
        },
        "devices": [described],
    }


def _memory() -> tuple[int, int]:
    """(total, free) bytes of RAM; zeros if the system doesn't tell."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0, 0


class _Lines(logging.Handler):
    """Collects log lines for the editor's log panel."""

    def __init__(self, lines: deque[dict]):
        super().__init__(logging.INFO)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
        self.lines.append({"t": when, "m": f"{record.levelname}: {record.getMessage()}\n"})


def serve(server: Server, address: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, which lets a running node save its work; a second one stops at once.

    say: called with sentences about where the editor is. Raises OSError if the port is taken.
    """
    handler = _Lines(server.lines)
    logging.getLogger().addHandler(handler)
    try:
        asyncio.run(_serve(server, address, port, say))
    finally:
        logging.getLogger().removeHandler(handler)


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
    port = site._server.sockets[0].getsockname()[1]  # port 0 means any free one
    shown = f"[{address}]" if ":" in address else address
    say(f"The graph editor is at http://{shown}:{port} — stop with Ctrl-C.")
    if not is_loopback(address):
        say("Anybody who can reach this address can run graphs and see the files of its folders.")
    await ended.wait()
    if server.jobs.left():
        say("Stopping after this step. Press Ctrl-C again to stop at once.")
    await asyncio.to_thread(server.stop)
    await runner.cleanup()
