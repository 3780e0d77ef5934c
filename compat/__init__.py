"""The nodes' only access to the host: ComfyUI if it has loaded this pack, else the stand-in.

Nodes use names such as `compat.denoiser(…)`, and never ask which host is behind them. `contract.py`
describes all names. Each host imports a feature when it is first used, so that a change in ComfyUI
breaks only the features that depend on it.
"""

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import contract
from .faults import Faults
from .sockets import Clip, Conditioning, Model, Vae

NAMES = (
    "io",
    "ui",
    *(
        name
        for name, each in vars(contract).items()
        if isinstance(each, type | FunctionType) and each.__module__ == contract.__name__
    ),
)

if TYPE_CHECKING:
    from .contract import *  # noqa: F403
    from .standalone.graph import io, ui  # noqa: F401
else:
    if "folder_paths" in sys.modules and "comfy" in sys.modules:  # ComfyUI is importing us
        from . import comfyui as _host
    else:
        from . import standalone as _host

    def __getattr__(name: str) -> Any:
        if name in NAMES:
            return getattr(_host, name)
        raise AttributeError(f'module "{__name__}" has no "{name}"')


__all__ = ["NAMES", "Clip", "Conditioning", "Faults", "Model", "Vae"]
