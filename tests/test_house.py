"""The house: who may import whom, and how quietly the pack comes in."""

import ast
import subprocess
import sys
from functools import cache
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
    "filelock",
} | sys.stdlib_module_names


# The packages and modules of hypernet/, from the top floor down. Each uses only what is below it.
FLOORS = (
    ("diffusers", "runs", "tools"),
    ("training",),
    ("apply", "encoding", "taggers"),
    ("dataset", "families", "formats"),
    ("captions", "checked_json", "network", "pictures"),
    ("atomic_files", "devices", "disk_space", "seeding", "text"),
)
# Which part of the pack uses which others.
USES = {
    "hypernet": {"hypernet"},
    "compat": {"compat", "hypernet"},
    "nodes": {"nodes", "compat", "hypernet"},
    "cli": {"cli", "compat", "hypernet", ""},  # "": comfy_entrypoint, as a host asks for it
}
LONGEST_FUNCTION, LONGEST_MODULE = 50, 400  # lines


@cache
def tree(path):
    return ast.parse(path.read_text("utf-8"))


@cache
def imports(path):
    """Every import in a file, lazy ones too, as dotted names: "hypernet.runs.run", "torch.nn".

    A name of the pack begins with the folder below the pack's root; the root itself is "".
    """
    package, found = path.relative_to(ROOT).parts[:-1], []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                name = [*base, alias.name]
                is_module = (ROOT.joinpath(*name)).with_suffix(".py").exists()
                is_package = ROOT.joinpath(*name).is_dir() and bool(node.level)
                found.append(".".join(name if is_module or is_package else base))
    return found


def sources(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


def test_the_library_knows_nothing_of_nodes_hosts_or_comfyui():
    for path in sources("hypernet"):
        for name in imports(path):
            top = name.split(".")[0]
            assert top == "hypernet" or top in LIBRARY, f"{path.name} imports {name}"


@pytest.mark.parametrize("part", USES)
def test_a_part_of_the_pack_uses_only_the_parts_that_it_may(part):
    for path in sources(part):
        for name in imports(path):
            top = name.split(".")[0]
            is_ours = name == "" or ((ROOT / top).is_dir() and top not in HOST - {"nodes"})
            if is_ours and (top != "nodes" or part != "compat"):
                assert top in USES[part], f"{path.relative_to(ROOT)} imports {name}"


def test_only_the_rooms_of_comfyui_name_comfyui():
    parts = ["hypernet", "nodes", "compat", "cli"]
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in [*(path for part in parts for path in sources(part)), ROOT / "__init__.py"]
        for node in ast.walk(tree(path))
        for name in named(node)
        if name.split(".")[0] in HOST
    }
    assert naming and all(name.startswith("compat/comfyui/") for name in naming)


def named(node):
    """The modules that an absolute import names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_nodes_ask_the_door_and_never_a_host():
    for path in sources("nodes"):
        for name in imports(path):
            assert not name.startswith("compat."), f"{path.name}: {name}"


def test_every_room_of_the_library_has_a_floor():
    rooms = {path.stem for path in (ROOT / "hypernet").iterdir() if not path.name.startswith("_")}
    assert sorted(room for floor in FLOORS for room in floor) == sorted(rooms)
    assert len(rooms) <= 20


def test_no_import_of_the_library_runs_upward():
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    for path in sources("hypernet"):
        room = path.relative_to(ROOT / "hypernet").parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for name in imports(path):
            _, _, inside = name.partition("hypernet.")
            if not name.startswith("hypernet.") or inside.split(".")[0] == room:
                continue
            other = inside.split(".")[0]
            assert floor_of[room] < floor_of[other], f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("part", ["hypernet", "nodes", "compat", "cli"])
def test_functions_and_modules_can_be_read_at_one_sitting(part):
    for path in sources(part):
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= LONGEST_MODULE, path.relative_to(ROOT)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                is_schema = node.name == "define_schema"
                assert is_schema or length <= LONGEST_FUNCTION, f"{path.name}: {node.name}"


def test_importing_prints_nothing_and_brings_no_heavy_library():
    """All in one process: what any of them brings is there in the end."""
    program = (
        "import sys; import hypernet_pack, hypernet\n"
        "import hypernet_pack.nodes, hypernet.diffusers, hypernet_pack.cli.main\n"
        "import hypernet_pack.compat.standalone.nodes.core\n"
        "import hypernet_pack.compat.standalone.model.checkpoint\n"
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
