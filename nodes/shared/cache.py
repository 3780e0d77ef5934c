"""Where what was found out or computed once is kept. It may be deleted at any time."""

from pathlib import Path

from ...compat import output_folder


def cache_folder() -> Path:
    return output_folder() / "hypernet_cache"
