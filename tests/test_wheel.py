"""The built wheel, installed into an environment of its own: each file once, each class once."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
PACK = ("cli", "compat", "nodes")
# Every way in: the library, the installed pack, and a clone that a host names as it likes.
DOORS = """
import importlib.util, sys
order = {order!r}
if "library" in order:
    import hypernet
def clone():
    spec = importlib.util.spec_from_file_location("/a/custom_nodes/my-hypernet", {clone!r})
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    return importlib.import_module("/a/custom_nodes/my-hypernet.nodes.use.load_save")
def installed():
    return importlib.import_module("hypernet_pack.nodes.use.load_save")
loaders = [dict(clone=clone, installed=installed)[door]() for door in order if door != "library"]
import hypernet
for loader in loaders:
    network = hypernet.Hypernetwork(hypernet.HypernetSpec(widths=(8,)))
    loader.save_network(network, {file!r}, overwrite=True)
    assert type(loader.open_network({file!r})) is hypernet.Hypernetwork
print(hypernet.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # Without isolation, which would download setuptools. From a copy, which leaves no build here.
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\0")
    if not any(tracked):
        pytest.skip("the tests do not run in a git clone")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to(ROOT / name)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    done = subprocess.run(
        [*build, "--wheel-dir", folder, source], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A Python that has the wheel and what it needs, but not this repository."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (packages,) = [*home.glob("lib/python*/site-packages"), *home.glob("Lib/site-packages")]
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packages)
    # Found there, but what its .pth files do (an editable install of this repository) is left out.
    (packages / "needed.pth").write_text(str(Path(torch.__file__).parents[1]))
    return next(
        path for path in [home / "bin/python", home / "Scripts/python.exe"] if path.exists()
    )


def test_it_holds_every_module_of_the_pack_and_of_the_library_once(wheel):
    modules = [path for path in zipfile.ZipFile(wheel).namelist() if path.endswith(".py")]
    library = {f"hypernet/{path.relative_to(ROOT / 'hypernet').as_posix()}"
               for path in (ROOT / "hypernet").rglob("*.py")}  # fmt: skip
    pack = {f"hypernet_pack/{path.relative_to(ROOT).as_posix()}"
            for folder in PACK for path in (ROOT / folder).rglob("*.py")}  # fmt: skip
    root = {"hypernet_pack/__init__.py", "hypernet_pack/library.py"}
    assert sorted(modules) == sorted(library | pack | root)


def test_it_holds_what_the_editor_is_served_and_the_demo_model(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "hypernet_pack/web/panel.js",
        "hypernet_pack/locales/zh/main.json",
        "hypernet_pack/demo/tiny-sd/model_index.json",
        "hypernet_pack/example_workflows/train_style.json",
        "hypernet_pack/subgraphs/Train a Hypernetwork.json",
        "hypernet_pack/compat/standalone/model/clip_vocabulary/merges.txt.gz",
    } <= names


@pytest.mark.parametrize(
    "order",
    [
        ["library", "installed", "clone"],
        ["installed", "clone"],
        ["clone", "installed"],
        ["library", "clone"],
    ],
    ids=" then ".join,
)
def test_a_class_is_there_once_whatever_door_it_comes_through(python, tmp_path, order):
    program = DOORS.format(
        order=order, clone=str(ROOT / "__init__.py"), file=str(tmp_path / "net.pt")
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cloned_first = order[0] == "clone"
    assert Path(done.stdout.strip()).is_relative_to(ROOT) == cloned_first


def test_its_command_runs(python, tmp_path):
    command = "import sys; from hypernet_pack.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [python, "-c", command, "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0 and "hypernet" in done.stdout, done.stderr


def test_a_stranger_of_that_name_is_refused_in_words(tmp_path, python):
    (tmp_path / "hypernet").mkdir()
    (tmp_path / "hypernet" / "__init__.py").write_text("")
    program = "import hypernet; import hypernet_pack"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert 'Another package called "hypernet" is in use' in done.stderr
