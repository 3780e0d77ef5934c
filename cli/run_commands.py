"""The subcommands of `hypernet` on runs: runs, runs diff, runs publish, runs delete, and report.

Names and captions may be anybody's, so what would move the terminal's cursor is replaced in tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypernet.atomic_files import write_whole
from hypernet.disk_space import as_size
from hypernet.runs.book.checkpoints import publish
from hypernet.runs.book.entries import Entry, find_entry, list_entries, read_entry
from hypernet.runs.book.page import duration, page_of
from hypernet.runs.book.settings import compared
from hypernet.runs.book.trash import move_to_trash
from hypernet.runs.manifest import MANIFEST

from ..compat.standalone import folders
from .file_commands import Command, named

RUN = "its name in ./output/hypernet"


def add_run_parsers(commands: Any) -> dict[str, Command]:
    """Add the parsers. Returns the function of each command by name."""
    runs = commands.add_parser("runs", help="list, compare, publish and delete runs")
    at_runs = runs.add_subparsers(dest="action", metavar="{diff,publish,delete}")
    diff = at_runs.add_parser("diff", help="the settings in which runs differ, and their results")
    diff.add_argument("runs", metavar="RUN", nargs="+", help=f"{RUN}, or its folder; two or more")
    publishing = at_runs.add_parser("publish", help="copy a checkpoint into models/hypernetworks")
    publishing.add_argument("run", metavar="RUN", help=RUN)
    publishing.add_argument(
        "step", metavar="STEP", nargs="?", default="",
        help='such as 500, or "best" (default: the newest)',
    )  # fmt: skip
    delete = at_runs.add_parser("delete", help="move a run to ./output/hypernet_trash")
    delete.add_argument("run", metavar="RUN", help=RUN)
    report = commands.add_parser("report", help="write a run as one HTML page")
    report.add_argument("run", metavar="RUN", help=f"{RUN}, or its folder")
    report.add_argument(
        "--to", metavar="FILE", help="never overwritten (default: report.html in the run's folder)"
    )
    for each in (runs, diff, publishing, delete, report):
        # What a subparser leaves out must not replace what was given before it.
        each.add_argument(
            "--out", metavar="DIR", default=argparse.SUPPRESS,
            help="where results are (default: ./output)",
        )  # fmt: skip
        each.add_argument(
            "--models", metavar="DIR", default=argparse.SUPPRESS,
            help="ComfyUI's models folder (default: ./models)",
        )  # fmt: skip
    return {"runs": at_runs_of(ACTIONS), "report": at_runs_of({None: write_report})}


def at_runs_of(actions: dict[str | None, Command]) -> Command:
    def act(arguments: argparse.Namespace) -> str:
        given = {name: getattr(arguments, name, None) for name in ("out", "models")}
        with folders.configured(output=given["out"], models=given["models"]):
            return actions[getattr(arguments, "action", None)](arguments)

    return act


def runs_folder() -> Path:
    return folders.output_folder() / "hypernet"


def folder_of(run: str) -> tuple[Path, str]:
    """(the folder of a run, its name). run: its name, or the path of its folder."""
    if (Path(run) / MANIFEST).is_file():
        return Path(run).absolute(), Path(run).absolute().name
    folder = find_entry(run, runs_folder())
    return folder, folder.relative_to(runs_folder()).as_posix()


def list_runs(arguments: argparse.Namespace) -> str:
    entries = list_entries(runs_folder(), folders.network_folders())
    if not entries:
        return f"There are no runs in {runs_folder()}."
    heads = ("run", "state", "step", "loss", "probe", "took", "changed", "network")
    return in_columns([heads, *map(cells, entries)])


def cells(entry: Entry) -> tuple[str, ...]:
    return (
        entry.name,
        entry.state,
        f"{entry.step} of {entry.steps or '?'}",
        shown(entry.smoothed),
        shown(entry.probe),
        "" if entry.seconds is None else duration(entry.seconds),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed)),
        entry.network,
    )


def shown(number: float | None) -> str:
    return "" if number is None else f"{number:.4g}"


def compare_runs(arguments: argparse.Namespace) -> str:
    if len(arguments.runs) < 2:
        raise ValueError(f'"{arguments.runs[0]}" is one run. Give two or more to compare.')
    found = [folder_of(run) for run in arguments.runs]
    rows = compared([folder for folder, _ in found])
    differing = [(f"{row.part}: {row.name}", *row.texts) for row in rows if row.differs]
    entries = [read_entry(folder, folders.network_folders(), name) for folder, name in found]
    results = {
        "state": [entry.state for entry in entries],
        "steps": [f"{entry.step} of {entry.steps or '?'}" for entry in entries],
        "loss, smoothed": [shown(entry.smoothed) for entry in entries],
        "loss, last": [shown(entry.loss) for entry in entries],
        "probe": [shown(entry.probe) for entry in entries],
        "took": ["" if e.seconds is None else duration(e.seconds) for e in entries],
        "network": [entry.network for entry in entries],
    }
    heads = ("", *(name for _, name in found))
    table = [heads, *differing, ("",) * len(heads), *((k, *v) for k, v in results.items())]
    return in_columns(table) if differing else "The settings are the same.\n" + in_columns(table)


def publish_checkpoint(arguments: argparse.Namespace) -> str:
    networks = folders.network_folders()[0]
    return publish(arguments.run, runs_folder(), networks, arguments.step).about


def delete_run(arguments: argparse.Namespace) -> str:
    place = move_to_trash(arguments.run, runs_folder())
    return f"Moved to {place}. Its network in models/hypernetworks stays."


def write_report(arguments: argparse.Namespace) -> str:
    folder, name = folder_of(arguments.run)
    out = named(arguments.to) if arguments.to else folder / "report.html"
    page = page_of(folder, folders.network_folders(), name)
    write_whole(out, lambda file: file.write(page), overwrite=not arguments.to)
    return f"{out}: {as_size(len(page))}"


ACTIONS: dict[str | None, Command] = {
    None: list_runs,
    "diff": compare_runs,
    "publish": publish_checkpoint,
    "delete": delete_run,
}


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """A table as lines; columns are as wide as their longest cell."""
    plain = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in plain]
    return "\n".join(lines)


def printable(text: str) -> str:
    """The text without signs that control a terminal."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
