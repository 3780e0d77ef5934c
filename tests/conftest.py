"""The pack under its own name, as a host imports it, also where it is not installed."""

import gc
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def load(name: str, folder: Path) -> None:
    if importlib.util.find_spec(name):
        return
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


load("hypernet_pack", ROOT)
load("hypernet", ROOT / "hypernet")
load("demo", ROOT / "demo")
load("scripts", ROOT / "scripts")
load("tiny_models", ROOT / "tests" / "tiny_models")


@pytest.fixture(scope="module", autouse=True)
def short_collections() -> None:
    """Spare gc.collect(), three of them in a training, the million objects of what is imported."""
    gc.collect()
    gc.freeze()
