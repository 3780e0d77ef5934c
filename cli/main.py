"""`hypernet`: edits and runs workflows without ComfyUI, describes and converts network files.

    hypernet serve [--listen ADDRESS] [--port N] [--input DIR] [--models DIR] [--out DIR]
    hypernet run WORKFLOW.json [--set NODE.INPUT=VALUE ...] [--out DIR] [--models DIR] [--input DIR]
                               [--seed N] [--processes N [--restarts N]]
    hypernet inspect FILE [FILE ...] [--json]
    hypernet convert FILE OUT [--numbers float16] [--keep WIDTHS] [--one-matrix] [--for-core]
    hypernet merge OUT FILE FILE [...] [--method side-by-side] [--factors NUMBERS]
    hypernet average RUN [--width NUMBER] [--to FILE]
    hypernet to-lora FILE OUT --model CHECKPOINT [--rank N]
    hypernet compare OUT.png FILE [...] --model CHECKPOINT --prompt TEXT [--strengths NUMBERS]
    hypernet estimate STRUCTURE [--model flux] [--places PLACES] [--groups N] [--widths WIDTHS]
    hypernet runs [diff RUN RUN [...] | publish RUN [STEP] | delete RUN] [--out DIR] [--models DIR]
    hypernet report RUN [--to FILE] [--out DIR]

Exit codes: 0 done, 1 a node failed, 2 invalid request, 130 stopped by the user. The first Ctrl-C
lets the running node finish its step and keep its work; the second stops at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hypernet.text.links import files_below

from ..compat.standalone import folders, many_processes
from ..compat.standalone.graph.at_queueing import as_queued
from ..compat.standalone.graph.call import title_of
from ..compat.standalone.graph.executor import Executor, Run
from ..compat.standalone.graph.node_class import ComfyNode
from ..compat.standalone.graph.validation import sentence
from ..compat.standalone.graph.workflow import Workflow, WorkflowError, read_workflow, set_value
from ..compat.standalone.progress import request_interrupt
from ..compat.standalone.routes import collected_routes
from ..compat.standalone.serve.gate import is_loopback
from .file_commands import NETWORK, Command, add_parsers
from .run_commands import add_run_parsers

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 130

Nodes = Mapping[str, type[ComfyNode]]


def main(argv: list[str] | None = None, nodes: Iterable[type[ComfyNode]] | None = None) -> int:
    """Run the command and return its exit code.

    nodes: the nodes that workflows may use; by default the pack's and the core nodes.
    """
    parser, makers = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command in makers:
        return _make(makers[arguments.command], arguments)
    if arguments.command == "inspect":
        return _inspect(arguments.files, arguments.json)
    moved = {"input": arguments.input, "output": arguments.out, "models": arguments.models}
    if arguments.command == "serve":
        fenced = not is_loopback(arguments.listen)
        with folders.configured(**moved, user=arguments.user, fenced=fenced):
            return _serve(arguments, nodes)
    with folders.configured(**moved):
        if many_processes.is_launched():
            return _run_together(arguments)
        if arguments.processes > 1:
            return _launch(argv if argv is not None else sys.argv[1:], arguments)
        return _run(arguments, nodes)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    parser = argparse.ArgumentParser(
        prog="hypernet", description="Trains, applies and edits hypernetworks without ComfyUI."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for each in (_add_run_parser(commands), _add_serve_parser(commands)):
        each.add_argument("--out", metavar="DIR", help="where results go (default: ./output)")
        each.add_argument(
            "--models", metavar="DIR", help="ComfyUI's models folder (default: ./models)"
        )
        each.add_argument("--input", metavar="DIR", help="where pictures lie (default: ./input)")
    inspect = commands.add_parser("inspect", help="say what is in network files")
    inspect.add_argument("files", nargs="+", metavar="FILE", help=NETWORK)
    inspect.add_argument("--json", action="store_true", help="as JSON (default: as text)")
    return parser, add_parsers(commands) | add_run_parsers(commands)


def _add_run_parser(commands: Any) -> argparse.ArgumentParser:
    run = commands.add_parser("run", help="run a workflow saved by ComfyUI")
    run.add_argument(
        "workflow", metavar="WORKFLOW.json",
        help="in API or editor format, or a PNG or WebP that ComfyUI has saved",
    )  # fmt: skip
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="change an input; NODE is an id, or a title or a class that occurs once; may be "
        "given several times (default: as saved)",
    )
    run.add_argument(
        "--seed", type=int, metavar="N",
        help="decides between {a|b} in prompts (default: the first seed in the workflow)",
    )  # fmt: skip
    run.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="train on so many graphics cards; a batch is N times batch_size (default: 1)",
    )  # fmt: skip
    run.add_argument(
        "--restarts", type=int, default=0, metavar="N",
        help="begin again so often when a process dies; a training goes on from where it last "
        "saved (default: 0)",
    )  # fmt: skip
    run.add_argument(
        "--traceback", action="store_true",
        help="when a node fails, also say where in the code (default: its sentence alone)",
    )  # fmt: skip
    return run


def _add_serve_parser(commands: Any) -> argparse.ArgumentParser:
    serve = commands.add_parser("serve", help="the graph editor in the browser, without ComfyUI")
    serve.add_argument(
        "--port", type=int, default=8188, metavar="N", help="0 takes a free one (default: 8188)"
    )
    serve.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="0.0.0.0 lets other machines in (default: 127.0.0.1, this machine alone)",
    )
    serve.add_argument(
        "--frontend", metavar="DIR",
        help="another build of ComfyUI's editor (default: the installed one)",
    )  # fmt: skip
    serve.add_argument(
        "--user", metavar="DIR", help="where the editor keeps workflows (default: ./user)"
    )
    return serve


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _make(command: Command, arguments: argparse.Namespace) -> int:
    try:
        print(command(arguments))
    except (OSError, ValueError, ImportError) as error:
        _say(str(error))
        return REFUSED
    except KeyboardInterrupt:
        _say("Stopped; nothing was written.")
        return STOPPED
    return DONE


def _inspect(files: list[str], as_json: bool) -> int:
    from hypernet.formats.networks import open_network
    from hypernet.tools import report

    descriptions, code = [], DONE
    for file in files:
        try:
            path = folders.find_network(file, _say)
            network = open_network(path, folders.network_folders())
            descriptions.append(report.describe(path, network))
        except (OSError, ValueError) as error:
            _say(str(error))  # the message names the file
            code = REFUSED
    if as_json and descriptions:
        print(json.dumps(descriptions if len(files) > 1 else descriptions[0], indent=2))
    elif descriptions:
        print("\n\n".join(report.report_text(each) for each in descriptions))
    return code


def _launch(argv: list[str], arguments: argparse.Namespace) -> int:
    """Run the same command in several processes."""
    module, restarts = f"{__package__}.main", arguments.restarts
    try:
        return many_processes.launch(module, argv, arguments.processes, restarts, _say)
    except ValueError as error:
        _say(str(error))
        return REFUSED
    except KeyboardInterrupt:  # before anything began
        return STOPPED


def _run_together(arguments: argparse.Namespace) -> int:
    with many_processes.joined() as team:
        if not team.processes.leads:
            return _help(team, arguments)
        code = _run(arguments, None, lambda sentence: team.may_complain() and _say(sentence))
        if code == DONE:  # otherwise the others notice that this process is gone
            many_processes.dismiss(team.processes)
        return code


def _help(team: many_processes.Team, arguments: argparse.Namespace) -> int:
    """Only help to train. Report a fault only if no other process has reported one."""
    many_processes.ignore_signals()
    executor = Executor(asyncio.run(_installed_nodes()))
    try:
        prompt = _workflow(arguments, executor).prompt
        fault, code = many_processes.help_to_train(team.processes, executor, prompt), FAILED
    except WorkflowError as error:
        fault, code = str(error), REFUSED
    except ConnectionError:  # the first process has said why, or it died and the launcher says so
        return FAILED if team.may_complain() else DONE
    if not fault or not team.may_complain():
        return DONE
    _say(f"Process {team.processes.number + 1} of {team.processes.count}: {fault}")
    return code


def _workflow(arguments: argparse.Namespace, executor: Executor) -> Workflow:
    """The workflow to run: the file with every --set applied, as the editor would queue it.

    Raises WorkflowError if that is not possible.
    """
    workflow = read_workflow(arguments.workflow, executor.nodes)
    for assignment in arguments.set:
        set_value(workflow.prompt, assignment, executor.nodes)
    return as_queued(workflow, executor.nodes, arguments.seed)


def _run(
    arguments: argparse.Namespace,
    nodes: Iterable[type[ComfyNode]] | None,
    say: Callable[[str], object] = _say,
) -> int:
    installed = list(nodes) if nodes is not None else asyncio.run(_installed_nodes())
    executor = Executor(installed)
    try:
        workflow = _workflow(arguments, executor)
    except WorkflowError as error:
        say(str(error))
        return REFUSED
    for notice in dict.fromkeys(workflow.notices):
        _say(notice)

    started = time.time()
    try:
        with _ctrl_c_asks():
            run = executor.run(workflow.prompt, workflow.extra_pnginfo)
    except KeyboardInterrupt:
        say("Stopped at once; what the running node had not written is lost.")
        return STOPPED
    return _tell(run, workflow.prompt, executor.nodes, started, arguments.traceback, say)


def _serve(arguments: argparse.Namespace, nodes: Iterable[type[ComfyNode]] | None) -> int:
    try:
        from ..compat.standalone.serve import server
        from ..compat.standalone.serve.frontend import frontend_folder

        frontend = frontend_folder(arguments.frontend)
        with collected_routes() as routes:
            installed = list(nodes) if nodes is not None else asyncio.run(_installed_nodes())
        alone = is_loopback(arguments.listen)
        served = server.Server(installed, frontend, routes, loopback=alone)
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        server.serve(served, arguments.listen, arguments.port, print)
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        _say('The graph editor needs aiohttp. Install it with pip install "hypernet[editor]".')
        return REFUSED
    except OSError as error:
        _say(str(error))
        return REFUSED
    return DONE


async def _installed_nodes() -> list[type[ComfyNode]]:
    from .. import comfy_entrypoint
    from ..compat.standalone.nodes.core import CORE_NODES

    extension = await comfy_entrypoint()
    await extension.on_load()
    return [*CORE_NODES, *await extension.get_node_list()]


@contextmanager
def _ctrl_c_asks() -> Iterator[None]:
    """Inside the block, the first Ctrl-C or SIGTERM asks the running node to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        request_interrupt()
        os.write(2, b"\nStopping after this step. Press Ctrl-C again to stop at once.\n")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _tell(
    run: Run,
    prompt: Mapping[str, Any],
    nodes: Nodes,
    started: float,
    with_traceback: bool,
    say: Callable[[str], object],
) -> int:
    def name(node_id: str) -> str:
        node = nodes.get(prompt[node_id].get("class_type"))
        return f"{title_of(node_id, prompt, node and node.GET_SCHEMA())} (node {node_id})"

    written = []
    for node_id, shown in run.outputs.items():
        for text in shown.get("text", ()):
            print(f"{name(node_id)}: {text}")
        for path in _files(shown):
            written.append(path)
            print(f"{name(node_id)}: {path}")
    for node_id, entry in run.node_errors.items():
        for said in dict.fromkeys(map(sentence, entry["errors"])):
            say(f"{name(node_id)}: {said}")
    for error in run.blocked:
        say(f"{name(error['node_id'])}: {error['exception_message']}")
    if run.status == "invalid":
        if not run.node_errors:
            assert run.error is not None  # what refuses a whole prompt
            say(sentence(run.error))
        return REFUSED
    if run.status == "success":
        return REFUSED if run.node_errors else DONE

    fault = run.error
    assert fault is not None  # every other run ended with one
    kept = [path for path in _files_since(started) if path not in written]
    for path in kept:
        print(f"kept: {path}")
    if run.status == "interrupted":
        say(f"{name(fault['node_id'])} was stopped. Files kept: {len(kept) + len(written)}.")
        return STOPPED
    if with_traceback:
        say("".join(fault["traceback"]).rstrip())
    message = fault["exception_message"] or fault["exception_type"]
    say(f"{name(fault['node_id'])} failed: {message}")
    return FAILED


def _files(shown: Mapping[str, Any]) -> list[Path]:
    """The files that a node's outputs refer to: "images" in the editor's form, "saved" as paths."""
    places = {
        "input": folders.input_folder,
        "output": folders.output_folder,
        "temp": folders.temp_folder,
    }
    images = [
        places[image.get("type", "output")]() / image.get("subfolder", "") / image["filename"]
        for image in shown.get("images", ())
    ]
    return images + [Path(path).absolute() for path in shown.get("saved", ())]


def _files_since(started: float) -> list[Path]:
    """Results on disk that were written since the run started, without previews."""
    temp = folders.temp_folder()
    return sorted(
        path
        for folder in (folders.output_folder(), *folders.network_folders())
        for path in (folder / name for name in files_below(folder))
        if temp not in path.parents and path.suffix != ".lock"
        if path.stat().st_mtime > started - 0.05  # file clocks are coarse
    )


if __name__ == "__main__":
    sys.exit(main())
