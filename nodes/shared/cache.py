"""The folder for things that take time to compute. It may be deleted at any time."""

from pathlib import Path

from ...compat import output_folder


def cache_folder() -> Path:
    return output_folder() / "hypernet_cache"
