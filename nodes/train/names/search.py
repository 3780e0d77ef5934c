"""Looks on the disk for what naming.py needs for its decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypernet.formats.optim_file import file_hash
from hypernet.network.spec import HypernetSpec
from hypernet.runs.disk_check import check_writable
from hypernet.runs.standing import Standing, finished_fault, free_name, numbered, standing_of

from ....compat import network_folders
from ...use.load_save import runs_folder
from ..beginning import hindrance
from .naming import LOAD, Found, Looks, Wish, plan_name


@dataclass(frozen=True, kw_only=True)
class Search:
    """Searches for runs. pictures: returns the fingerprint of the pictures and words asked for."""

    wish: Wish
    spec: HypernetSpec
    architecture: str
    pictures: Callable[[], str]
    known: dict[tuple, str] = field(default_factory=dict)  # the cache of `once`

    def plan(self, busy: Sequence[str] = ()) -> Found:
        """Decide what to do, while others train under the busy names; see naming.plan_name.

        Also raises OSError if a folder that is needed cannot be written.
        """
        runs, networks = runs_folder(), network_folders()
        standings = [
            standing_of(name, runs, networks) for name in numbered(self.wish.name, runs, networks)
        ]
        free = free_name(self.wish.name, set(busy), runs, networks)
        looks = Looks(
            pictures=self.pictures,
            sha=lambda each: self.once(sha_of, each),
            fault=lambda each: self.once(finished_fault, each),
            hinders=lambda each: self.once(self.hinders, each),
        )
        found = plan_name(self.wish, standings, busy, free, looks)
        if found.kind != LOAD:
            check_writable(runs / found.name)
            check_writable((networks[0] / found.name).parent)
        return found

    def hinders(self, standing: Standing) -> str:
        return hindrance(standing, self.spec, self.architecture)

    def once(self, read: Callable[[Standing], str], standing: Standing) -> str:
        """read(standing), which is slow, cached until the run has ended again."""
        key = (read.__name__, standing.name, standing.ended, standing.done)
        if key not in self.known:
            self.known[key] = read(standing)
        return self.known[key]


def sha_of(standing: Standing) -> str:
    """The hash of the network's file: from the run's manifest if it has one, else computed."""
    told = standing.manifest.get("finished", {}).get("sha256")
    return told or (file_hash(standing.file) if standing.file else "")
