"""The two servers that an editor can stand before, in the same words.

Both have `address`, `base` (the folder with input, output and models), `checkpoint` (what the
loader calls a model that is there), get(path), post(path, content) and words(), the log so far.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import comfyui_server

HERE = Path(__file__).parent
TINY = comfyui_server.REPOSITORY / "demo" / "tiny-sd"
START_SECONDS, STOP_SECONDS = 120, 20


class StandIn:
    """`hypernet serve` on a free port, over a folder that is thrown away."""

    name = "stand-in"
    checkpoint = TINY.name
    pixels = 128  # that its checkpoint draws best

    def __init__(self, base: Path):
        self.base = base
        for name in ("input", "output", "user", "models/hypernetworks", "models/checkpoints"):
            (base / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(TINY, base / "models" / "checkpoints" / TINY.name, dirs_exist_ok=True)

    def __enter__(self) -> StandIn:
        command = [sys.executable, str(HERE / "serve.py"), "--port", "0"]
        for option, folder in (("out", "output"), *((n, n) for n in ("input", "models", "user"))):
            command += [f"--{option}", str(self.base / folder)]
        if frontend := os.environ.get("HYPERNET_FRONTEND"):
            command += ["--frontend", frontend]
        self.log = self.base / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | UNBUFFERED
            )
        patience = time.monotonic() + START_SECONDS
        while not (found := re.search(r"http://[\d.:]+", self.words())):
            if self.process.poll() is not None or time.monotonic() > patience:
                self.__exit__()
                raise RuntimeError(f"the server did not start:\n{self.words()}")
            time.sleep(0.1)
        self.address = found[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def words(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path) as answer:
            return json.load(answer)

    def post(self, path: str, content: dict) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.address + path, json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        return status, json.loads(body) if body else None


UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


class ComfyUI(comfyui_server.ComfyUI):
    name = "ComfyUI"
    checkpoint = comfyui_server.CHECKPOINT
    pixels = 64  # its checkpoint is noise anyway
