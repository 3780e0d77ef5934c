"""Lists runs for the editor, and receives network files that were dropped on the canvas.

A file comes in parts, because hosts limit the size of a request. It is collected in the cache, and
moves to the networks' folder when it is whole and could be opened. Nothing is overwritten.

    GET  /hypernet/runs
    POST /hypernet/upload   {"name", "token", "offset", "data": base64, "last"}
"""

import base64
import filecmp
import re
import shutil
import time
from pathlib import Path

from hypernet.atomic_files import write_whole
from hypernet.disk_space import SPARE, free_bytes
from hypernet.formats.networks import SUFFIXES, TREE_SUFFIX, open_network
from hypernet.runs.manifest import list_runs
from hypernet.text.file_names import check_name

from ...compat import network_folders
from ..shared.cache import cache_folder
from ..use.load_save import runs_folder
from .requests import values

MOST_BYTES = 4 * 2**30
TOKEN = re.compile(r"[0-9a-f]{16}")
DAY = 24 * 60 * 60  # seconds after which an unfinished upload is deleted


def runs(query: dict[str, str], body: object) -> dict:
    return {"folder": str(runs_folder()), "runs": list_runs(runs_folder())}


def upload(query: dict[str, str], body: object) -> dict:
    """Add a part. Returns {}, or after the last part {"name"} of the new file.

    Raises ValueError if it is no network, and FileExistsError if another file has this name.
    """
    kinds = {"name": str, "token": str, "offset": int, "data": str, "last": bool}
    given = values(body, kinds)
    name, token = check_name(given["name"]), given["token"]
    if not name.lower().endswith((*SUFFIXES, TREE_SUFFIX)) or name.startswith("."):
        raise ValueError(f'"{name}": a hypernetwork file ends in {" or ".join(SUFFIXES)}.')
    if not TOKEN.fullmatch(token):
        raise ValueError(f'Token "{token}": give 16 digits of 0-9 and a-f.')
    waiting = cache_folder() / "uploads"
    if not given["offset"]:
        forget_old_uploads(waiting)
    part = waiting / token / name
    try:
        add_part(part, given["offset"], given["data"])
        if not given["last"]:
            return {}
        open_network(part, network_folders())
        return {"name": take_in(part)}
    except BaseException:
        shutil.rmtree(part.parent, ignore_errors=True)
        raise


def add_part(part: Path, offset: int, data: str) -> None:
    content = base64.b64decode(data, validate=True)
    size = part.stat().st_size if part.is_file() else 0
    if offset != size:
        raise ValueError(f'"{part.name}": {size} bytes are here, and a part for {offset} came.')
    part.parent.mkdir(parents=True, exist_ok=True)
    free = free_bytes(part.parent)
    if size + len(content) > MOST_BYTES or 2 * len(content) + SPARE > free:
        raise ValueError(f'"{part.name}" is too large for this server. Copy it there yourself.')
    with open(part, "ab") as file:
        file.write(content)


def take_in(part: Path) -> str:
    """Move a file to the networks' folder, unless the same file is there already."""
    place = network_folders()[0] / part.name
    if not (place.is_file() and filecmp.cmp(part, place, shallow=False)):
        if place.exists():
            raise FileExistsError(
                f'There is another hypernetwork "{place.name}" in {place.parent}; it is kept. '
                "Rename one of the two."
            )
        with open(part, "rb") as file:
            write_whole(place, lambda out: shutil.copyfileobj(file, out), overwrite=False)
    shutil.rmtree(part.parent, ignore_errors=True)
    return place.name


def forget_old_uploads(waiting: Path) -> None:
    for folder in waiting.iterdir() if waiting.is_dir() else ():
        if folder.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(folder, ignore_errors=True)


ROUTES = {
    ("GET", "/hypernet/runs"): runs,
    ("POST", "/hypernet/upload"): upload,
}
