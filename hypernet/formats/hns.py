"""Trees of networks: aria1th's `.hns` files combine several networks into one.

A `.hns` is one Python literal:

    ["a", "b"]              one after the other
    {"a", "b"}              side by side, the mean of their outputs
    {"a": 0.6, "b": 0.2}    side by side, weights divided by their sum (here 3/4 and 1/4)
    ("a", 0.5), {"a": 0.5}  one network at a strength
    '{"[\\'a\\', \\'b\\']", "c"}'    a literal in quotes stands for its content

Names are those of other files, also of other `.hns`, without folder and suffix. The text is parsed,
never evaluated.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..network.hypernetwork import Hypernetwork, Record
from ..network.places import Place
from ..text.links import files_below
from ..text.names import find_name

MOST_TEXT = 64 * 2**10  # bytes of a .hns
MOST_LEAVES = 64
DEEPEST = 16
STRONGEST = 10.0

SUFFIXES = (".pt", ".safetensors", ".hns")  # in the order in which a bare name is looked up


@dataclass(frozen=True)
class Leaf:
    """A named file, at a strength."""

    name: str
    strength: float = 1.0


@dataclass(frozen=True)
class Sequential:
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Parallel:
    parts: tuple[Part, ...]
    weights: tuple[float, ...]  # their sum is 1


Part = Leaf | Sequential | Parallel


# The text


def parse_tree(text: str, depth: int = 0) -> Part:
    """The tree that a text describes; its names are looked up later.

    Raises ValueError quoting the part that is wrong.
    """
    written, text = text, text.strip()
    if not text.startswith(("[", "(", "{")):
        if not text or "\n" in text:
            raise ValueError(f'"{text[:80]}" is neither a name nor a tree of names.')
        return Leaf(written if depth else text)  # a quoted name may end in blanks
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as fault:
        raise ValueError(f'"{text[:80]}" is no Python literal ({fault}).') from None
    return read_node(node, depth)


def read_node(node: ast.expr, depth: int) -> Part:
    if depth > DEEPEST:
        raise ValueError(f"the tree is more than {DEEPEST} levels deep.")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return parse_tree(node.value, depth + 1)
    if isinstance(node, ast.Tuple) and len(node.elts) == 2 and is_number(node.elts[1]):
        return at_strength(node.elts[0], number(node.elts[1]), depth)
    if isinstance(node, ast.List) or (isinstance(node, ast.Tuple) and len(node.elts) == 1):
        return sequential([read_node(entry, depth + 1) for entry in node.elts])
    if isinstance(node, ast.Set):
        parts = list(dict.fromkeys(read_node(entry, depth + 1) for entry in node.elts))
        return parallel(parts, [1.0] * len(parts))
    if isinstance(node, ast.Dict) and None not in node.keys:  # None is the key of **
        weights = [number(value) for value in node.values]
        keys = [key for key in node.keys if key is not None]
        if len(set(map(ast.dump, keys))) < len(keys):
            raise ValueError(f'"{ast.unparse(node)[:80]}" gives one name two weights.')
        if len(weights) == 1:
            return at_strength(keys[0], weights[0], depth)
        return parallel([read_node(key, depth + 1) for key in keys], weights)
    raise ValueError(
        f'"{ast.unparse(node)[:80]}" is no part of a tree: use names, [..] for one after the '
        'other, {..} for side by side, ("name", 0.5) for a strength.'
    )


def sequential(parts: list[Part]) -> Part:
    if not parts:
        raise ValueError("a sequence [] in it is empty.")
    return parts[0] if len(parts) == 1 else Sequential(tuple(parts))


def parallel(parts: list[Part], weights: list[float]) -> Part:
    if not parts:
        raise ValueError("a group {} in it is empty.")
    total = math.fsum(weights)
    if min(weights) < 0 or total <= 0:
        raise ValueError(f"weights {weights} in it should be 0 or more, and not all 0.")
    if len(parts) == 1:
        return parts[0]
    return Parallel(tuple(parts), tuple(weight / total for weight in weights))


def at_strength(node: ast.expr, strength: float, depth: int) -> Part:
    part = read_node(node, depth + 1)
    if not isinstance(part, Leaf):
        if strength == 1:
            return part
        raise ValueError(
            f'"{ast.unparse(node)[:80]}" cannot have strength {strength:g}: only a name can.'
        )
    if not -STRONGEST <= strength <= STRONGEST:
        raise ValueError(f'strength {strength:g} of "{part.name}" is beyond ±{STRONGEST:g}.')
    return Leaf(part.name, part.strength * strength)


def is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def number(node: ast.expr) -> float:
    if not is_number(node):
        raise ValueError(f'"{ast.unparse(node)[:80]}" should be a number.')
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    constant = node.operand if isinstance(node, ast.UnaryOp) else node
    assert isinstance(constant, ast.Constant)
    value = constant.value
    assert isinstance(value, (int, float))  # by is_number
    if not abs(value) < 1e6:
        raise ValueError(f'"{ast.unparse(node)[:80]}" is too large.')
    return -float(value) if negative else float(value)


def leaves(part: Part) -> list[Leaf]:
    return [part] if isinstance(part, Leaf) else [leaf for p in part.parts for leaf in leaves(p)]


def formula(part: Part) -> str:
    """One line: a → (0.75 × b + 0.25 × c at 0.5)."""
    if isinstance(part, Leaf):
        return part.name if part.strength == 1 else f"{part.name} at {part.strength:g}"
    if isinstance(part, Sequential):
        return " → ".join(map(formula, part.parts))
    parts = (f"{w:.3g} × {formula(p)}" for w, p in zip(part.weights, part.parts, strict=True))
    return f"({' + '.join(parts)})"


# The files


def read_tree(
    path: Path, folders: Sequence[Path], open_network: Callable[[Path], Hypernetwork]
) -> NetworkTree:
    """The tree in a `.hns`. Each of its networks is opened only once.

    Raises ValueError or FileNotFoundError naming the file and the reason.
    """
    networks: dict[str, Hypernetwork] = {}
    opened: dict[Path, str] = {}
    notes: list[str] = []

    def resolve(part: Part, above: tuple[Path, ...]) -> Part:
        """The part with file names replaced by keys of `networks`, and `.hns` by their trees."""
        if isinstance(part, Sequential):
            return Sequential(tuple(resolve(p, above) for p in part.parts))
        if isinstance(part, Parallel):
            return Parallel(tuple(resolve(p, above) for p in part.parts), part.weights)
        file = find_named(part.name, path.parent, folders, above[-1], notes)
        if file.suffix.lower() == ".hns":
            if part.strength != 1:
                raise ValueError(
                    f'"{above[-1].name}": "{part.name}" is a tree itself and cannot have strength '
                    f"{part.strength:g}."
                )
            return load(file, above)
        if file not in opened:
            opened[file] = free_key(file.stem, networks)
            networks[opened[file]] = open_network(file)
        return Leaf(opened[file], part.strength)

    def load(file: Path, above: tuple[Path, ...]) -> Part:
        if file in above:
            chain = " → ".join(f'"{f.name}"' for f in (*above, file))
            raise ValueError(f'"{path.name}" contains itself: {chain}.')
        if len(above) > DEEPEST:
            raise ValueError(f'"{path.name}" is more than {DEEPEST} files deep.')
        counted = resolve(read_text(file), (*above, file))
        if len(leaves(counted)) > MOST_LEAVES:
            raise ValueError(f'"{path.name}" has more than {MOST_LEAVES} networks in it.')
        return counted

    part = load(path.resolve(), ())
    note = " ".join(dict.fromkeys(notes)) or None
    kind = shared_architecture(networks.values(), path.name)
    record = Record(name=path.stem, optional_info=note, architecture=kind)
    return NetworkTree(part, networks, record)


def shared_architecture(networks: Iterable[Hypernetwork], file_name: str) -> str:
    kinds = {network.record.architecture for network in networks}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind or "UNets" for kind in kinds))
        raise ValueError(
            f'"{file_name}" mixes networks for {names}: no model has the places of all.'
        )
    return kinds.pop()


def read_text(file: Path) -> Part:
    if file.stat().st_size > MOST_TEXT:
        raise ValueError(f'"{file.name}" is too large for a tree: over {MOST_TEXT} bytes.')
    try:
        return parse_tree(file.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f'"{file.name}" is no text: a tree is one Python literal.') from None
    except ValueError as fault:
        raise ValueError(f'"{file.name}" is not a tree of networks: {fault}') from None


def find_named(
    name: str, beside: Path, folders: Sequence[Path], asking: Path, notes: list[str]
) -> Path:
    """The file with this name, in the folder `beside` or anywhere below `folders`.

    Without an exact match the rules of names.py apply, and a note is added. A number or hash in
    brackets is ignored: aria1th's lists show "a(1)" for files of the same name, and
    "a(0123456789)".
    """
    bare = name.rsplit("(", 1)[0] if name.endswith(")") else name
    there = [
        file
        for place in (sorted(beside.glob("*")), *map(networks_below, folders))
        for file in place
        if file.suffix.lower() in SUFFIXES and file.is_file()
    ]
    found = called(name, bare, there)
    for known in ([file.stem for file in there], [file.name for file in there]):
        if not found and (match := find_name(bare, known)):
            found = called(match.name, match.name, there)
            notes.append(match.note)
    if not found:
        places = ", ".join(map(str, dict.fromkeys((beside, *folders))))
        raise FileNotFoundError(
            f'"{asking.name}" names a hypernetwork "{name[:80]}", which is not in {places}. '
            "Put the file there."
        )
    found.sort(key=lambda file: (file.stem != name, SUFFIXES.index(file.suffix.lower())))
    return found[0].resolve()


def networks_below(folder: Path) -> list[Path]:
    files = (folder / name for name in files_below(folder, SUFFIXES))
    return sorted(files, key=lambda file: (len(file.parts), file))


def called(name: str, bare: str, files: list[Path]) -> list[Path]:
    wanted = {f"{stem}{suffix}" for stem in (name, bare) for suffix in ("", *SUFFIXES)}
    return [file for file in files if file.name in wanted]


def free_key(stem: str, taken: dict[str, Hypernetwork]) -> str:
    """The stem, or "stem (2)" and so on if another file already has it."""
    numbered = (stem if n == 1 else f"{stem} ({n})" for n in range(1, MOST_LEAVES + 2))
    return next(key for key in numbered if key not in taken)


# The arithmetic


@dataclass(frozen=True)
class TreeSpec:
    """The part of a HypernetSpec that a tree has: what any of its networks changes."""

    widths: tuple[int, ...]
    places: tuple[tuple[str, int], ...] = ()


class NetworkTree(nn.Module):
    """Several networks that act as one, with the keys() and values() of a Hypernetwork.

    The strength of a call multiplies the strength of every network in the tree.
    """

    def __init__(self, part: Part, networks: dict[str, Hypernetwork], record: Record | None = None):
        super().__init__()
        self.part = part
        self.names = tuple(networks)
        self.networks = nn.ModuleList(networks.values())
        self.record = record or Record()
        widths = {width for network in networks.values() for width in network.spec.widths}
        places = {place for network in networks.values() for place in network.spec.places}
        self.spec = TreeSpec(tuple(sorted(widths)), tuple(sorted(places)))
        self.eval()

    def named(self, name: str) -> Hypernetwork:
        """The network of the leaves with this name."""
        network = self.networks[self.names.index(name)]
        assert isinstance(network, Hypernetwork)  # a ModuleList doesn't tell what is in it
        return network

    def keys(
        self, context: Tensor, strength: float | Tensor = 1.0, place: Place | None = None
    ) -> Tensor:
        """Transform the input of `to_k`: (B, T, C) → same shape and dtype.

        Returns the input itself for a width and place that the tree doesn't have.
        """
        return self._transform("keys", self.part, context, strength, place)

    def values(
        self, context: Tensor, strength: float | Tensor = 1.0, place: Place | None = None
    ) -> Tensor:
        """Transform the input of `to_v`, as `keys` does for `to_k`."""
        return self._transform("values", self.part, context, strength, place)

    def holds(self, width: int, place: Place | None = None) -> bool:
        return any(self.named(name).holds(width, place) for name in self.names)

    def _transform(
        self, side: str, part: Part, context: Tensor, strength: float | Tensor, place: Place | None
    ) -> Tensor:
        if not self.holds(context.shape[-1], place):
            return context
        if isinstance(part, Leaf):
            strength = part.strength * strength
            return getattr(self.named(part.name), side)(context, strength, place)
        if isinstance(part, Sequential):
            for each in part.parts:
                context = self._transform(side, each, context, strength, place)
            return context
        total = torch.zeros_like(context, dtype=torch.float32)
        for each, weight in zip(part.parts, part.weights, strict=True):
            total = total + weight * self._transform(side, each, context, strength, place).float()
        return total.to(context.dtype)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def copy(self) -> NetworkTree:
        """A copy with its own weights, created outside inference mode."""
        networks = [self.named(name).copy() for name in self.names]
        return NetworkTree(
            self.part,
            dict(zip(self.names, networks, strict=True)),
            Record(**vars(self.record)),
        )


Network = Hypernetwork | NetworkTree  # what a file can hold
