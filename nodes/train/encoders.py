"""Where VAE and text encoder are while the UNet learns: what TrainHypernet's `encoders` says."""

import logging

from ... import compat
from ..shared.cache import cache_folder

log = logging.getLogger(__name__)

TO_RAM, UNLOADED, STAY = "to RAM", "unloaded", "stay on the card"
CHOICES = (TO_RAM, UNLOADED, STAY)


def leave(choice: str, *encoders: object) -> None:
    """They are not needed for a while. Unloaded ones lie in a file; without room for it, in RAM."""
    if choice == STAY:
        return
    compat.release(*encoders)
    if choice == UNLOADED:
        try:
            compat.unload(cache_folder() / "unloaded", *encoders)
        except OSError as fault:
            log.warning("VAE and text encoder stay in RAM: %s", fault)
