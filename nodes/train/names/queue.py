"""Tells the user at once if another training of the same name is in the host's queue."""

import logging

from hypernet.runs.standing import free_name, standing_of

from .... import compat
from ...use.load_save import bare_path, runs_folder
from ..live import running
from .naming import STOP

log = logging.getLogger(__name__)

TRAINS = "HypernetTrain"  # the node's id
NOTICE = "hypernet.notice"  # what the editor shows as a passing notice


def check_queue(name: str, if_taken: str) -> None:
    """If another training of this name is queued, tell editors which name this one will get.

    Raises ValueError if if_taken is STOP.
    """
    ahead = sum(trains(prompt, name) for prompt in compat.queued_prompts())
    if not ahead:
        return
    if if_taken == STOP:
        raise ValueError(
            f'Name "{name}": another training of this name is in the queue, and if_taken is '
            f'"{STOP}". Choose another name, or queue this one when the other has ended.'
        )
    sentence = (
        f'Another training of the name "{name}" is in the queue. This one will be saved as '
        f'"{name_after(name, ahead)}"; if it asks for the same, it gets the same network.'
    )
    log.warning("%s", sentence)
    compat.send_event(NOTICE, {"text": sentence})


def trains(prompt: dict, name: str) -> bool:
    """Does the graph train a network of this name?"""
    return any(
        node.get("class_type") == TRAINS and names(node.get("inputs", {}).get("name"), name)
        for node in prompt.values()
    )


def names(given: object, name: str) -> bool:
    try:
        return isinstance(given, str) and bare_path(given) == name
    except ValueError:
        return False


def name_after(name: str, ahead: int) -> str:
    """The name of a training that comes after `ahead` others of this name."""
    folders = runs_folder(), compat.network_folders()
    taken = {live.name for live in list(running().values()) if live.asked == name}
    own = (
        standing_of(name, *folders).kind in ("unfinished", "lost") and not taken
    )  # the first one resumes the run, and needs no new name
    for _ in range(ahead - len(taken) - own):
        taken.add(free_name(name, taken, *folders))
    return free_name(name, taken, *folders)
