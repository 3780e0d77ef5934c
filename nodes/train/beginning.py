"""What a training begins with: nothing, the state of a run, or the file of a network."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hypernet.families import misfit
from hypernet.formats.networks import open_network
from hypernet.formats.optim_file import open_optimizer, optimizer_file
from hypernet.network.hypernetwork import Hypernetwork, load_weights
from hypernet.network.spec import HypernetSpec
from hypernet.runs.standing import Standing, is_result
from hypernet.runs.state import (
    State,
    check_same_network,
    load_optimizer,
    load_state,
    newest_state,
    spec_differences,
    through_json,
)
from hypernet.training.learner import Learner

from ... import compat

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What has been learnt before.

    state: everything, from a run. Otherwise file and network give weights and step, and the
    optimizer's state if a .optim lies beside the file. step: the updates that are done.
    """

    state: State | None = None
    file: Path | None = None
    network: Hypernetwork | None = None

    @property
    def step(self) -> int:
        if self.state is not None:
            return self.state.step
        return self.network.record.step if self.network is not None else 0

    def put_weights(self, learner: Learner, say: Say) -> None:
        """Load weights and optimizer from a network's file. Run.begin loads a state instead."""
        if self.state is not None or self.network is None:
            return
        for each in {id(n): n for n in (learner.network, learner.result)}.values():
            load_weights(each, self.network.state_dict())
        learner.network.record.step = self.network.record.step
        self._put_optimizer(learner.optimizer, say)

    def put(self, learner: Learner, say: Say) -> None:
        """Load everything, in a process that has no Run."""
        self.put_weights(learner, say)
        if self.state is not None:
            load_state(self.state, learner.network, learner)

    def _put_optimizer(self, optimizer, say: Say) -> None:
        kind = type(optimizer).__name__
        assert self.file is not None and self.network is not None  # put_weights has checked
        found = open_optimizer(self.file, self.network)
        beside = optimizer_file(self.file).name
        if found is None:
            say(f'No "{beside}" belongs to the network; {kind} begins afresh.')
        elif found[0] != kind:
            say(f'"{beside}" is of {found[0]}; {kind} begins afresh.')
        else:
            load_optimizer(optimizer, found[1])


def open_single(file: Path) -> Hypernetwork:
    """Open the network to begin with. Raises ValueError for a tree of networks."""
    found = open_network(file, compat.network_folders())
    if not isinstance(found, Hypernetwork):
        raise ValueError(
            f'continue_from "{file.name}" is a tree of networks; training goes on with a single '
            "one. Merge it into one first."
        )
    return found


def resume(folder: Path, name: str, spec: HypernetSpec, say: Say) -> Beginning:
    """Begin with the newest state in the folder of an unfinished run."""
    state, damage = newest_state(folder)
    if damage:
        say(damage)
    if state is not None:
        check_same_network(state, spec, f'The unfinished run "{name}" in {folder}')
    return Beginning(state=state)


def hindrance(standing: Standing, spec: HypernetSpec, architecture: str) -> str:
    """A sentence on why an unfinished run cannot be resumed with this spec on such a model; "" if
    it can."""
    began_on = standing.manifest.get("architecture", architecture)  # early runs do not say it
    try:
        resume(standing.folder, standing.name, spec, lambda damage: None)
        misfit(str(began_on), architecture)
    except ValueError as fault:
        return str(fault)
    return ""


def further(
    base: Standing, spec: HypernetSpec, architecture: str, steps: int, say: Say
) -> Beginning:
    """Begin with a finished run's state if it is that of its network, else with the network."""
    try:
        state, _ = newest_state(base.folder)
    except ValueError:
        state = None
    network = None if base.file is None else open_single(base.file)
    if network is not None and (related := misfit(network.record.architecture, architecture)):
        say(related)
    if state is not None and (network is None or is_result(state, network)):
        return Beginning(state=replace(state, written={}))  # its checkpoints are the other run's
    if network is None or base.file is None:
        raise ValueError(f'The run "{base.name}" in {base.folder} has no network to go on from.')
    if state is not None:
        say(f'The state in {base.folder} is not that of "{base.file.name}".')
    check_further(network, spec, steps, f'"{base.file.name}"')
    return Beginning(file=base.file, network=network)


def continue_from(file: Path, network: Hypernetwork, spec: HypernetSpec, steps: int) -> Beginning:
    check_further(network, spec, steps, f'continue_from "{file.name}"')
    return Beginning(file=file, network=network)


def check_further(network: Hypernetwork, spec: HypernetSpec, steps: int, what: str) -> None:
    differences = spec_differences(through_json(asdict(network.spec)), through_json(asdict(spec)))
    if differences:
        raise ValueError(
            f"{what} is another network: {differences}. Choose the same in Hypernet Config, or "
            "continue from nothing."
        )
    if network.record.step >= steps:
        raise ValueError(
            f"{what} has had {network.record.step} updates, and steps {steps} counts them too: "
            "give more."
        )
