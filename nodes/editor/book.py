"""Answers the editor's book of runs: lists and compares them, publishes and deletes them.

    GET  /hypernet/book            all runs, the newest first
    POST /hypernet/book/settings   {"names": [...]}; the curves are in runs/state (trainings.py)
    POST /hypernet/book/publish    {"name", "step"}: "" for the newest checkpoint
    POST /hypernet/book/delete     {"name"}: moves the run's folder to the trash beside the runs

Names come over the network. Those that cannot be a run's are refused, so that nothing outside the
runs' folder is read or moved.
"""

from hypernet.runs.book.checkpoints import checkpoints_in, publish
from hypernet.runs.book.entries import find_entry, list_entries
from hypernet.runs.book.settings import compared
from hypernet.runs.book.trash import move_to_trash
from hypernet.runs.lock_files import being_trained

from ...compat import network_folders
from ..train.live import running
from ..use.load_save import runs_folder
from .requests import values
from .trainings import run_name

MOST = 8  # runs in one comparison


def book(query: dict[str, str], body: object) -> dict:
    entries = list_entries(runs_folder(), network_folders())
    live = {name: each.state for name, each in list(running().items())}
    runs = [each.as_data() | {"state": live.get(each.name, each.state)} for each in entries]
    return {"folder": str(runs_folder()), "runs": runs}


def settings(query: dict[str, str], body: object) -> dict:
    """The settings of these runs with their differences, and the checkpoints of each."""
    names = values(body, {"names": list})["names"]
    if not 0 < len(names) <= MOST:
        raise ValueError(f"{len(names)} runs: choose 1 to {MOST} of them.")
    folders = [find_entry(run_name(name), runs_folder()) for name in names]
    return {
        "rows": [row.as_data() for row in compared(folders)],
        "checkpoints": [list(checkpoints_in(folder)) for folder in folders],
    }


def publish_checkpoint(query: dict[str, str], body: object) -> dict:
    given = values(body, {"name": str, "step": str})
    networks = network_folders()[0]
    found = publish(run_name(given["name"]), runs_folder(), networks, given["step"])
    return {"name": found.file.relative_to(networks).as_posix(), "said": found.about}


def delete(query: dict[str, str], body: object) -> dict:
    name = run_name(values(body, {"name": str})["name"])
    if name in running():
        raise being_trained(name)
    return {"folder": str(move_to_trash(name, runs_folder()))}


ROUTES = {
    ("GET", "/hypernet/book"): book,
    ("POST", "/hypernet/book/settings"): settings,
    ("POST", "/hypernet/book/publish"): publish_checkpoint,
    ("POST", "/hypernet/book/delete"): delete,
}
