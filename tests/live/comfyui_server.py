"""A ComfyUI of its own for the tests: on the CPU, on a free port, in a folder that is thrown away.

`COMFYUI_DIR` says where ComfyUI lies; `COMFYUI_PYTHON` which interpreter runs it (otherwise its
own `.venv`, otherwise this one). All talk is by HTTP, as the editor does it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PACK = "hypernet"
OUR_NODES = (
    "LoadDemoModel",
    "LoadDataset",
    "Prepare",
    "SavePrepared",
    "Caption",
    "Words",
    "Config",
    "RangeTest",
    "Train",
    "Apply",
    "Load",
    "Save",
)  # after "Hypernet"
CHECKPOINT = "sd15-random.safetensors"
START_SECONDS, RUN_SECONDS, STOP_SECONDS = 600, 1200, 20


@dataclass(frozen=True)
class Outcome:
    """How a prompt ended, in the same words for every host."""

    status: str  # "success", "error", "interrupted" or "invalid"
    shown: dict[str, dict] = field(default_factory=dict)  # what nodes show, by node id
    error: dict = field(default_factory=dict)  # exception_message, exception_type, node_id …
    node_errors: dict[str, dict] = field(default_factory=dict)  # of validation, by node id

    @property
    def message(self) -> str:
        return self.error.get("exception_message", "")

    def text(self, node_id: str) -> str:
        """The text that a node shows."""
        return "".join(self.shown[node_id]["text"])


def missing() -> str:
    """Why no ComfyUI can be started; "" when one can."""
    folder = os.environ.get("COMFYUI_DIR", "")
    if not folder:
        return "COMFYUI_DIR is not set"
    if not (Path(folder) / "main.py").is_file():
        return f"COMFYUI_DIR={folder} holds no main.py"
    return ""


def comfyui_folder() -> Path:
    return Path(os.environ["COMFYUI_DIR"]).absolute()


def interpreter() -> str:
    own = comfyui_folder() / ".venv" / "bin" / "python"
    return os.environ.get("COMFYUI_PYTHON") or (str(own) if own.is_file() else sys.executable)


def try_in_comfyui(script: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`script`, run to its end by ComfyUI's interpreter."""
    return subprocess.run(
        [interpreter(), str(script), *map(str, arguments)],
        cwd=comfyui_folder(),
        capture_output=True,
        text=True,
        check=False,
    )


def checkpoint(shape: str = "sd15") -> Path:
    """A checkpoint of one of write_checkpoint's shapes with random weights, written once and kept
    (1 to 3.5 GB)."""
    file = Path(tempfile.gettempdir()) / "hypernet-live-tests" / f"{shape}-random.safetensors"
    if not file.is_file():
        script = Path(__file__).with_name("write_checkpoint.py")
        done = try_in_comfyui(script, comfyui_folder(), file, shape)
        if done.returncode:
            raise RuntimeError(f"{script.name} failed:\n{done.stdout}\n{done.stderr}")
    return file


class ComfyUI:
    """A running server over the folder `base`; use as a context manager."""

    def __init__(self, base: Path, *extra_nodes: Path, options: tuple[str, ...] = ()):
        self.base = base
        self.options = options
        self.log = base / "comfyui.log"
        for name in ("input", "output", "temp", "user", "models/hypernetworks"):
            (base / name).mkdir(parents=True, exist_ok=True)
        _link(checkpoint(), base / "models" / "checkpoints" / CHECKPOINT)
        _link(REPOSITORY, base / "custom_nodes" / PACK)
        for file in extra_nodes:
            _link(file, base / "custom_nodes" / file.name)

    def __enter__(self) -> ComfyUI:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [interpreter(), "main.py", "--cpu", "--port", str(port)]
        command += ["--base-directory", str(self.base), "--disable-auto-launch"]
        command += ["--disable-api-nodes", "--database-url", "sqlite:///:memory:", *self.options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=comfyui_folder(), stdout=log, stderr=subprocess.STDOUT
            )
        patience = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > patience:
                self.__exit__()
                raise RuntimeError(f"ComfyUI did not start:\n{self.words()[-4000:]}")
            time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.get("/system_stats"))
        except OSError:
            return False

    def words(self) -> str:
        """What the server has printed so far."""
        return self.log.read_text("utf-8", "replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path) as answer:
            return json.load(answer)

    def post(self, path: str, content: dict) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.address + path,
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        return status, json.loads(body) if body else None

    def object_info(self) -> dict[str, dict]:
        return self.get("/object_info")

    def queue(self, prompt: dict) -> tuple[str, Outcome | None]:
        """The id of the queued prompt; or "" and what is wrong with it."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        if status == 200:
            return answer["prompt_id"], None
        errors = answer["node_errors"] or {}
        return "", Outcome("invalid", error=answer["error"], node_errors=errors)

    def outcome(self, prompt_id: str) -> Outcome:
        """Waits until the prompt is done."""
        patience = time.monotonic() + RUN_SECONDS
        while time.monotonic() < patience:
            if self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI died:\n{self.words()[-4000:]}")
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return _outcome(history[prompt_id])
            time.sleep(0.2)
        raise TimeoutError(f"still running after {RUN_SECONDS} s:\n{self.words()[-4000:]}")

    def run(self, prompt: dict) -> Outcome:
        prompt_id, fault = self.queue(prompt)
        return fault or self.outcome(prompt_id)

    def interrupt(self) -> None:
        self.post("/interrupt", {})


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node of a graph in API format."""
    return {"class_type": class_type, "inputs": inputs}


def config(**changes: Any) -> dict[str, Any]:
    """A Hypernet Config with all that a graph in API format must say."""
    given = {
        "layer_structure": "1, 2, 1", "activation": "linear", "weight_initialization": "Normal",
        "layer_norm": False, "dropout_structure": "", "activate_output": False, "widths": "",
        "seed": 1,
    }  # fmt: skip
    return node("HypernetConfig", **given | changes)


def _outcome(entry: dict) -> Outcome:
    events = dict(entry["status"]["messages"])
    for status in ("interrupted", "error"):
        if f"execution_{status}" in events:
            return Outcome(status, entry["outputs"], events[f"execution_{status}"])
    return Outcome("success", entry["outputs"])


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target, target_is_directory=target.is_dir())
