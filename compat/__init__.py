"""One door to the host: ComfyUI where it loaded this pack, the stand-in everywhere else.

Nodes import what they need from here and never ask which host answers. Each name below exists on
both sides with the same meaning; `contract.py` says what that meaning is. `Faults` is what
validate_inputs answers with, in either host.
"""

import sys

if "folder_paths" in sys.modules and "comfy" in sys.modules:  # ComfyUI is importing us
    from .comfyui import model as _host
else:
    from . import standalone as _host

from .contract import NAMES
from .faults import Faults

globals().update({name: getattr(_host, name) for name in NAMES})
__all__ = [*NAMES, "Faults"]
