"""ComfyUI's folders, interrupts, progress, server and editor.

Any update of a progress bar may raise the user's interrupt, and clears it by that. So the interrupt
is set again, because training polls `is_interrupted`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import comfy.model_management as management
import comfy.utils
import comfyui_version
import folder_paths
from aiohttp import web
from comfy_api import latest
from PIL import Image
from server import PromptServer

from hypernet.training.parallel import ALONE, Processes

from ..faults import on_their_inputs
from ..progress_line import ProgressLine

log = logging.getLogger(__name__)
NETWORK_SUFFIXES = (".pt", ".safetensors")
PREVIEW_PIXELS = 2048  # of the longer side of a preview: words in a grid can be read
OURS = "Hypernet"  # the ids of our nodes begin with this
KEPT = "kept_for_hypernet"  # the server's attribute
Kept = TypeVar("Kept")


def has_prompt_hooks() -> bool:
    return True


def host_name() -> str:
    return f"ComfyUI {comfyui_version.__version__}"


def input_folder() -> Path:
    return Path(folder_paths.get_input_directory())


def output_folder() -> Path:
    return Path(folder_paths.get_output_directory())


def dataset_folders() -> list[Path]:
    """Input and output folder, and `datasets` from extra_model_paths.yaml.

    Graphs come over the network, so they may read no other folders. ComfyUI's own dataset nodes do
    the same. The server's owner may allow more folders as `datasets`.
    """
    known = folder_paths.folder_names_and_paths
    more = folder_paths.get_folder_paths("datasets") if "datasets" in known else []
    return [input_folder(), output_folder(), *map(Path, more)]


def network_folders() -> list[Path]:
    return [Path(folder) for folder in folder_paths.get_folder_paths("hypernetworks")]


def network_names() -> list[str]:
    names = (name.replace("\\", "/") for name in folder_paths.get_filename_list("hypernetworks"))
    return sorted(name for name in names if name.lower().endswith(NETWORK_SUFFIXES))


def lora_folder() -> Path:
    return Path(folder_paths.get_folder_paths("loras")[0])


def model_folders(name: str) -> list[Path]:
    known = name in folder_paths.folder_names_and_paths
    configured = folder_paths.get_folder_paths(name) if known else []
    usual = Path(folder_paths.models_dir, name)
    return list(dict.fromkeys([usual, *map(Path, configured)]))


Interrupted = management.InterruptProcessingException


def is_interrupted() -> bool:
    return management.processing_interrupted()


def raise_if_interrupted() -> None:
    management.throw_exception_if_processing_interrupted()


class Progress:
    """The bar on the node that is being executed and, with a title, a line in the terminal."""

    def __init__(self, total: int, done: int = 0, title: str = "", on_node: bool = True):
        self._bar = comfy.utils.ProgressBar(total) if on_node else None
        self._line = ProgressLine(total, done, title, log.info) if title else None

    def beside(self, words: str) -> None:
        if self._line is not None:
            self._line.beside(words)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()

    def update(self, step: int, preview: Image.Image | None = None) -> None:
        if self._line is not None:
            self._line.update(step)
        if self._bar is None:
            return
        try:
            self._bar.update_absolute(step, preview=preview and as_sent(preview))
        except Interrupted:
            management.interrupt_current_processing(True)


def as_sent(preview: Image.Image) -> tuple[str, Image.Image, int]:
    """As ComfyUI takes a preview: it brings the longer side to this many pixels, also upwards."""
    return "JPEG", preview, min(PREVIEW_PIXELS, max(preview.size))


def gather_processes() -> Processes:
    return ALONE  # one server, one process


def send_event(name: str, data: dict) -> None:
    server = getattr(PromptServer, "instance", None)  # None while ComfyUI tests itself
    if server is not None:
        server.send_sync(name, data)


def queued_prompts() -> list[dict]:
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return []
    running, waiting = server.prompt_queue.get_current_queue()
    return [entry[2] for entry in (*running, *sorted(waiting, key=lambda entry: entry[:2]))]


def kept(name: str, make: Callable[[], Kept]) -> Kept:
    """On the server itself, beside what ComfyUI keeps there."""
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return make()
    return vars(server).setdefault(KEPT, {}).setdefault(name, make())


def add_route(method: str, path: str, answer: Callable[[dict[str, str], object], object]) -> None:
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return

    @server.routes.route(method, path)
    async def respond(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json() if request.can_read_body else None
            found = await asyncio.to_thread(answer, dict(request.query), body)
        except (ValueError, OSError) as fault:
            status = 404 if isinstance(fault, OSError) else 400
            return web.json_response({"error": str(fault)}, status=status)
        return web.FileResponse(found) if isinstance(found, Path) else web.json_response(found)


class ComfyExtension(latest.ComfyExtension):
    async def on_load(self) -> None:
        server = getattr(PromptServer, "instance", None)
        if server is not None and not server.app.frozen:  # it is frozen once the server runs
            server.app.middlewares.append(_refuse_by_input)


@web.middleware
async def _refuse_by_input(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Puts each fault of our nodes on its own input when ComfyUI refuses a graph; see faults.py.

    ComfyUI repeats the whole text of validate_inputs on every input that it names. All other
    answers pass unchanged.
    """
    answer = await handler(request)
    queued = request.method == "POST" and request.path in ("/prompt", "/api/prompt")
    if queued and isinstance(answer, web.Response) and answer.content_type == "application/json":
        assert answer.text is not None  # an answer in JSON has a body
        content = json.loads(answer.text)
        if refused := content.get("node_errors"):
            for entry in refused.values():
                if entry["class_type"].startswith(OURS):
                    _place(entry, content.get("error"))
            answer.text = json.dumps(content)
    return answer


def _place(entry: dict, whole: dict | None) -> None:
    """Change one node's errors, and the same errors in the list for the whole graph."""
    before, entry["errors"] = entry["errors"], on_their_inputs(entry["errors"])
    if whole:
        whole["details"] = whole["details"].replace(_listed(before), _listed(entry["errors"]))


def _listed(errors: list[dict]) -> str:
    """The errors as ComfyUI lists them for the whole graph."""
    return "\n".join(f"{error['message']}: {error['details']}" for error in errors)
