"""Answers the editor about trainings: their state and previews. Passes on requests such as pause.

    GET  /hypernet/runs/state?name=my_style_2    the run of this name
                        or ?asked=my_style       the newest run of a node with this name
                        or ?node=12              for a node whose name comes from another node
    GET  /hypernet/runs/preview?name=my_style&step=500
    POST /hypernet/runs/ask   {"name": "my_style", "ask": "pause"}

Names come over the network. Those that cannot be a run's are refused, so that nothing outside the
runs' folder is read. Nothing is written.
"""

import re
from pathlib import Path

from hypernet.runs.history import read_history
from hypernet.runs.manifest import read_manifest
from hypernet.runs.preview_files import preview_file, previewed_steps, thinned
from hypernet.runs.standing import numbered, standing_of

from ..train.live import LiveRun, running, seen_of
from ..use.load_save import bare_path, runs_folder

MOST_PREVIEWS = 1000


def state(query: dict[str, str], body: object) -> dict:
    """The run's state, as in LiveRun.snapshot; {"state": "none"} if there is no run."""
    live, found = look_up(query)  # looked up only once, because it may end at any moment
    folder = runs_folder() / found
    if live is not None:
        return live.snapshot() | {"previews": previews(folder)}
    if not found or not folder.is_dir():
        return {"state": "none", "name": found}
    return of_folder(found, folder) | {"previews": previews(folder)}


def look_up(query: dict[str, str]) -> tuple[LiveRun | None, str]:
    """(the training if it is running, else None; its name, or "" if the node trains nothing)."""
    if "node" in query:
        at_node = [live for live in list(running().values()) if live.node == query["node"]]
        return (at_node[0], at_node[0].name) if at_node else (None, "")
    name = newest(run_name(query["asked"])) if "asked" in query else run_name(query.get("name"))
    return running().get(name), name


def newest(asked: str) -> str:
    """The run that a node with this name trains, or trained last. Its name may have a number."""
    trained_now = [live.name for live in list(running().values()) if live.asked == asked]
    if trained_now:
        return trained_now[0]
    found = [standing_of(name, runs_folder(), []) for name in numbered(asked, runs_folder(), [])]
    ours = [each for each in found if asked in (each.asked, each.name)]
    return max(ours, key=lambda each: each.ended).name


def of_folder(name: str, folder: Path) -> dict:
    history, manifest = read_history(folder), read_manifest(folder)
    settings = manifest.get("settings")
    return seen_of(history) | {
        "name": name,
        "state": history.ended or ("finished" if "seconds" in manifest else "unfinished"),
        "total": settings.get("steps") if isinstance(settings, dict) else None,
        "seconds": manifest.get("seconds"),
    }


def preview(query: dict[str, str], body: object) -> Path:
    """The path of the preview after a step. Raises OSError if there is none."""
    name, step = run_name(query.get("name")), query.get("step", "")
    if not re.fullmatch(r"[0-9]{1,9}", step):
        raise ValueError(f'Step "{step}": give a number.')
    folder = runs_folder() / name
    path = preview_file(folder, folder.name, int(step))
    if not path.is_file():
        raise FileNotFoundError(f'The run "{name}" has no preview after step {int(step)}.')
    return path


def ask(query: dict[str, str], body: object) -> dict:
    """Ask something of a training; see control.ASKS.

    Raises ValueError for anything else, and OSError if nothing of this name is being trained.
    """
    if not isinstance(body, dict):
        raise ValueError('Give {"name": …, "ask": …}.')
    live = find(run_name(body.get("name")))
    live.control.ask(body.get("ask"))
    live.tell()
    return {"state": live.state}


def find(name: str) -> LiveRun:
    live = running().get(name)
    if live is None:
        raise FileNotFoundError(f'"{name}" is not being trained just now.')
    return live


def run_name(name: object) -> str:
    """The run's name, as the node makes it from its input. Raises ValueError if it is invalid."""
    if not isinstance(name, str) or not name:
        raise ValueError("Give the name of a run.")
    return bare_path(name)


def previews(folder: Path) -> list[int]:
    """The steps that have a preview, ascending.

    If there are too many, only every n-th is returned, always including the newest.
    """
    return thinned(previewed_steps(folder, folder.name), MOST_PREVIEWS)


ROUTES = {
    ("GET", "/hypernet/runs/state"): state,
    ("GET", "/hypernet/runs/preview"): preview,
    ("POST", "/hypernet/runs/ask"): ask,
}
