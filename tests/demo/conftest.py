"""`demo` is a package for its tests as `python -m demo.…` sees it, wherever they run."""

import importlib.util
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "demo"

if "demo" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "demo", DEMO / "__init__.py", submodule_search_locations=[str(DEMO)]
    )
    sys.modules["demo"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["demo"])
