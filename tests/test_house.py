"""The house: who may import whom, and how quietly the pack comes in."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOST = {
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfyui_version",
    "folder_paths",
    "server",
    "nodes",
}
LIBRARY = {
    "torch",
    "numpy",
    "PIL",
    "safetensors",
    "matplotlib",
    "diffusers",
    "cv2",
    "onnxruntime",
    "transformers",
} | sys.stdlib_module_names


def imports(path):
    """Every import in a file, lazy ones too: (top-level name, is relative, dotted rest)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], 0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module.split(".")[0], node.level, module


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_library_knows_nothing_of_nodes_hosts_or_comfyui():
    for path in sources("hypernet"):
        for top, level, module in imports(path):
            inside = level == 1 or (
                level and len(path.relative_to(ROOT / "hypernet").parts) > level - 1
            )
            assert inside or top in LIBRARY, f"{path.name} imports {module}"


def test_only_the_host_and_its_demo_model_name_comfyui():
    places = [*sources("hypernet"), *sources("nodes"), *sources("compat"), ROOT / "__init__.py"]
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in places
        for top, level, _ in imports(path)
        if not level and top in HOST
    }
    assert naming == {"compat/comfyui/model.py", "compat/comfyui/demo_model.py"}


def test_nodes_ask_the_door_and_never_a_host():
    for path in sources("nodes"):
        for _, level, module in imports(path):
            assert not (level == 2 and module.startswith("compat.")), f"{path.name}: {module}"


@pytest.mark.parametrize("package", ["hypernet_pack", "hypernet_pack.nodes", "hypernet"])
def test_importing_prints_nothing_and_brings_no_heavy_library(package):
    program = (
        "import sys; import hypernet_pack, hypernet\n"
        f"import {package}\n"
        "heavy = {'diffusers', 'transformers', 'matplotlib', 'onnxruntime', 'torch._dynamo'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT.parent
    )
    if "No module named" in done.stderr:
        pytest.skip("the package is not installed in this Python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
