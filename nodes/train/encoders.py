"""Puts VAE and text encoder where Train Hypernet's input `encoders` says, while training runs."""

import logging

from ... import compat
from ..shared.cache import cache_folder

log = logging.getLogger(__name__)

TO_RAM, UNLOADED, STAY = "to RAM", "unloaded", "stay on the card"
CHOICES = (TO_RAM, UNLOADED, STAY)


def leave(choice: str, *encoders: object) -> None:
    """Move encoders that are not needed for a while.

    UNLOADED writes them to a file; if that fails, they stay in RAM.
    """
    if choice == STAY:
        return
    compat.release(*encoders)
    if choice == UNLOADED:
        try:
            compat.unload(cache_folder() / "unloaded", *encoders)
        except OSError as fault:
            log.warning("VAE and text encoder stay in RAM: %s", fault)
