"""The library has one name, `hypernet`, by whatever name a host imports the pack.

ComfyUI names a pack for its folder; an installed pack is `hypernet_pack`. If the library were part
of the pack, each name would have classes of its own, and one would refuse the other's networks. So
the pack imports `hypernet` as it imports any package. In a clone the library lies in a folder that
is on no search path, and this module makes it importable.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

NAME = "hypernet"
FOLDER = Path(__file__).parent / NAME


def provide() -> None:
    """From now on `import hypernet` gives the library: the one in use, this folder's, or what is
    installed, in this order.

    Raises ImportError where another package of that name is in use.
    """
    if NAME in sys.modules:
        _refuse_strangers(sys.modules[NAME])
    elif FOLDER.is_dir():
        _load()


def _refuse_strangers(found: object) -> None:
    if not hasattr(found, "Hypernetwork"):
        raise ImportError(
            f'Another package called "{NAME}" is in use, from '
            f'"{getattr(found, "__file__", None)}". '
            "The Hypernet nodes need that name: remove or rename the other package."
        )


def _load() -> None:
    spec = importlib.util.spec_from_file_location(NAME, FOLDER / "__init__.py")
    library = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(library)
    except BaseException:
        del sys.modules[NAME]
        raise
