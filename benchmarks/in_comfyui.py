"""Runs a script of this folder in ComfyUI's interpreter, where COMFYUI_DIR names a ComfyUI.

COMFYUI_PYTHON names its Python, if it is not the one that runs here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def folder() -> str:
    """The ComfyUI's folder; "" without one."""
    return os.environ.get("COMFYUI_DIR", "")


def result_of(script: str, *arguments: object, env: Mapping[str, str] | None = None) -> Any:
    """What the last line of its output has as JSON."""
    return json.loads(output_of(HERE / script, *arguments, env=env).splitlines()[-1])


def output_of(script: Path, *arguments: object, env: Mapping[str, str] | None = None) -> str:
    """Run it to its end. Its first argument is the ComfyUI's folder, the others follow.

    Raises subprocess.CalledProcessError when it fails; it has said why on stderr.
    """
    python = os.environ.get("COMFYUI_PYTHON") or sys.executable
    command = [python, *map(str, (script, folder(), *arguments))]
    done = subprocess.run(
        command, cwd=folder(), env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
