"""Decides a run's name and what it begins with, before pictures are read.

It considers the names my_style, my_style_2, my_style_3 … A finished run of the same request is
loaded, and an unfinished run is resumed. If there is neither, a new run begins: under the name
itself, or as `if_taken` says if the name is taken. Nothing that exists is changed, except an
unfinished run that is resumed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hypernet.runs.request import Request, differences, is_over, is_prefix
from hypernet.runs.standing import Standing
from hypernet.runs.state import spec_differences

ADD, GO_ON, STOP = "add a number", "go on training it", "stop"
CHOICES = (ADD, GO_ON, STOP)
NEW, LOAD, RESUME, FURTHER = "new", "load", "resume", "go on"  # Found.kind
MOST_NAMED = 4  # the most differences that a sentence lists


@dataclass(frozen=True, kw_only=True)
class Found:
    """The decision.

    base: the run that is loaded, resumed or trained further. begins_with: for the run's request.
    said: sentences for the user.
    """

    kind: str
    name: str
    base: Standing | None = None
    begins_with: str | None = None
    said: tuple[str, ...] = ()

    @property
    def before(self) -> Standing:
        """The base, which every kind but a new run has."""
        assert self.base is not None, self.kind
        return self.base


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Functions that read files, called only when a decision depends on them.

    pictures() is the fingerprint of the pictures and words that were asked for. sha(standing) is
    the hash of a network's file. fault(standing) says why a finished network is not what its run
    wrote; "" if it is. hinders(standing) says why an unfinished run cannot be resumed; "" if it
    can.
    """

    pictures: Callable[[], str]
    sha: Callable[[Standing], str]
    fault: Callable[[Standing], str]
    hinders: Callable[[Standing], str]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for. name: as the user typed it, without a number added."""

    name: str
    request: Request
    resume: bool
    if_taken: str

    def is_of(self, standing: Standing) -> bool:
        """Was it trained under this name, or under this name with a number added?"""
        return self.name in (standing.name, standing.asked)


def plan_name(
    wish: Wish, standings: Sequence[Standing], busy: Sequence[str], free: str, looks: Looks
) -> Found:
    """Decide what to do.

    standings: what lies under the name and its numbered forms. busy: names that are being trained
    now. free: the first name that is not taken. Raises FileExistsError or ValueError, in one
    sentence, if the user has to decide.
    """
    said: list[str] = []
    idle = [each for each in standings if each.name not in busy and not each.is_free]
    same = [each for each in standings if answers(wish, each, standings, looks)]
    if found := answered(wish, [each for each in same if each in idle], looks, said):
        return found
    if trained_now := [each for each in same if each.name in busy]:
        raise FileExistsError(
            f'"{trained_now[0].name}" is being trained just now by another process, with the same '
            "settings and pictures. Wait until it has ended, and run again."
        )
    if wish.resume and (found := resumed(wish, idle, looks, said)):
        return found
    if free != wish.name:
        why = why_taken(wish, standings[0], busy, looks)
        if wish.if_taken == STOP:
            raise FileExistsError(
                f'{why}. Choose another name than "{wish.name}", or set if_taken to "{ADD}".'
            )
        if wish.if_taken == GO_ON and (found := gone_on(wish, idle, free, looks, said)):
            return found
        said.append(f'{why}: this one is saved as "{free}".')
        first = standings[0]
        more = first.kind == "finished" and wish.request.steps > first.done
        if more and only_steps(wish, first, looks):
            said.append(
                f'To train "{wish.name}" further instead of anew, stop and set if_taken to '
                f'"{GO_ON}".'
            )
    return Found(kind=NEW, name=free, begins_with=wish.request.begins_with, said=tuple(said))


def answers(wish: Wish, standing: Standing, standings: Sequence[Standing], looks: Looks) -> bool:
    """Is it a run of the same request?

    If if_taken is GO_ON, a run that continued from a network of this name counts too.
    """
    if standing.request is None:
        return False
    begun = standing.request.begins_with
    if begun != wish.request.begins_with:
        before = [each for each in standings if wish.is_of(each) and each.file]
        if wish.if_taken != GO_ON or not any(looks.sha(each) == begun for each in before):
            return False
    return not differences(standing.request, wish.request, looks.pictures)


def answered(wish: Wish, same: Sequence[Standing], looks: Looks, said: list[str]) -> Found | None:
    """Load the longest finished run of the same request, or else resume an unfinished one.

    None if there is neither.
    """
    finished = [each for each in same if each.kind == "finished"]
    for each in sorted(finished, key=lambda one: -one.done):
        if wish.if_taken == GO_ON and not is_over(wish.request, each.done):
            break  # it was stopped early, and GO_ON asks to train the rest
        if not (fault := looks.fault(each)):
            return Found(kind=LOAD, name=each.name, base=each, said=tuple(said))
        said.append(f"{fault}.")
    for each in same:
        if each.kind in ("unfinished", "lost") and wish.resume and may_go_on(each, looks, said):
            return resume_of(wish, each, said)
    return None


def resumed(wish: Wish, idle: Sequence[Standing], looks: Looks, said: list[str]) -> Found | None:
    """Resume an unfinished run of the name, although its settings differ. None if there is none."""
    for each in idle:
        if each.kind != "unfinished" or not wish.is_of(each):
            continue
        if wish.if_taken == STOP:
            if each.name != wish.name:
                continue
            if hindered := looks.hinders(each):
                raise ValueError(f'{hindered} Choose another name, or set if_taken to "{ADD}".')
        if may_go_on(each, looks, said):
            return resume_of(wish, each, said)
    return None


def may_go_on(standing: Standing, looks: Looks, said: list[str]) -> bool:
    hindered = looks.hinders(standing)
    if hindered and hindered not in said:
        said.append(hindered)
    return not hindered


def resume_of(wish: Wish, base: Standing, said: list[str]) -> Found:
    begins_with = (base.request or wish.request).begins_with
    return Found(kind=RESUME, name=base.name, base=base, begins_with=begins_with, said=tuple(said))


def gone_on(
    wish: Wish, idle: Sequence[Standing], free: str, looks: Looks, said: list[str]
) -> Found | None:
    """Begin a new run from the newest network of the name. None if there is none."""
    ours = [each for each in idle if wish.is_of(each) and each.kind in ("finished", "lost", "file")]
    if not ours:
        return None
    base = max(ours, key=lambda each: each.ended)
    if base.kind == "finished" and (fault := looks.fault(base)):
        raise ValueError(
            f"{fault}, so training cannot go on from it. Move that file away, or set if_taken to "
            f'"{ADD}".'
        )
    if base.request is None:  # its spec and steps are checked when the file is opened
        begins_with = looks.sha(base)
    else:
        if differ := spec_differences(base.request.spec, wish.request.spec):
            raise ValueError(
                f'"{base.name}" is another network: {differ}. To go on training it, choose the '
                f'same in Hypernet Config; or set if_taken to "{ADD}".'
            )
        if base.done >= wish.request.steps:
            return enough(wish, base, looks, said)
        exact = is_prefix(base.request, wish.request, base.done, looks.pictures)
        begins_with = base.request.begins_with if exact else looks.sha(base)
    said.append(f'"{base.name}" is trained further, and saved as "{free}".')
    return Found(kind=FURTHER, name=free, base=base, begins_with=begins_with, said=tuple(said))


def only_steps(wish: Wish, standing: Standing, looks: Looks) -> bool:
    """Are the requests the same except for their steps?"""
    assert standing.request is not None
    settings = {**standing.request.settings, "steps": wish.request.steps}
    return not differences(
        replace(standing.request, settings=settings), wish.request, looks.pictures
    )


def enough(wish: Wish, base: Standing, looks: Looks, said: list[str]) -> Found:
    """For a base that has enough updates: load it if nothing else differs, or raise ValueError."""
    if base.kind == "finished" and only_steps(wish, base, looks):
        return Found(kind=LOAD, name=base.name, base=base, said=tuple(said))
    raise ValueError(
        f'"{base.name}" has had {base.done} updates, and steps {wish.request.steps} counts them '
        "too: give more to go on training it."
    )


def why_taken(wish: Wish, standing: Standing, busy: Sequence[str], looks: Looks) -> str:
    """Why the name is taken: '"my_style" is taken by a network trained with … 1e-3 (now 1e-4)'."""
    name, folder, kind = standing.name, standing.folder, standing.kind
    if name in busy:
        return f'"{name}" is being trained just now by another process'
    if kind == "damaged":
        return f'"{name}" is taken, but {standing.fault}'
    if kind == "leftovers":
        return f'"{name}" is taken by files in {folder} from which no training can go on'
    if kind == "file":
        return f'"{name}" is taken by {standing.file}, of whose training nothing is known here'
    if kind == "unfinished" and not wish.resume:
        return f'"{name}" is an unfinished run of {standing.done} updates, and resume is off'
    if kind == "unfinished":
        return f'"{name}" is an unfinished run of {standing.done} updates that cannot go on'
    if kind == "lost":
        return f'"{name}" is taken by a finished run in {folder} whose network is gone'
    assert standing.request is not None
    others = differences(standing.request, wish.request, looks.pictures)
    if standing.request.begins_with != wish.request.begins_with:
        others.append("another network to begin with")
    if not others:
        return f'"{name}" is taken, but {looks.fault(standing)}'
    listed = others[:MOST_NAMED] + ["…"] * (len(others) > MOST_NAMED)
    return f'"{name}" is taken by a network trained with {"; ".join(listed)}'
