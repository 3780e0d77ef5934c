"""Checks a `.pt` file before torch reads it: what it claims against what it really holds.

A .pt is a zip of one pickle and the raw numbers of every tensor; before torch 1.6 it was a plain
sequence of them. torch's weights-only reader runs no code, but it trusts the sizes, and it accepts
far more than networks need. Here the pickle is interpreted with sizes in place of tensors. Only the
names and operations of A1111's files are allowed, every tensor must lie within numbers that exist,
and all tensors together must not be larger than the file. So a small file stays small in memory.
"""

from __future__ import annotations

import math
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

MOST_PICKLE = 2 * 2**20  # bytes; a network of 64 layers with its optimizer takes a quarter of that
MOST_DIRECTORY = 2**20  # bytes of a zip's table of contents

PROTOCOL = 2  # the one that torch.save writes and its weights-only reader knows
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

STORAGES = {
    "torch DoubleStorage": 8, "torch FloatStorage": 4, "torch HalfStorage": 2,
    "torch BFloat16Storage": 2, "torch LongStorage": 8, "torch IntStorage": 4,
    "torch ShortStorage": 2, "torch CharStorage": 1, "torch ByteStorage": 1,
    "torch BoolStorage": 1,
}  # fmt: skip
TENSOR = "torch._utils _rebuild_tensor_v2"
PARAMETERS = {"torch._utils _rebuild_parameter", "torch.nn.parameter Parameter"}
DICTIONARY = "collections OrderedDict"
NAMES = {*STORAGES, *PARAMETERS, TENSOR, DICTIONARY, "torch Size"}

CONSTANTS = {
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINSTRING",
}  # fmt: skip


def check_pt(file: BinaryIO) -> None:
    """Raises ValueError with the reason, or another exception for damage. Rewinds the file to 0."""
    size = file.seek(0, 2)
    file.seek(0)
    # torch also decides by these four bytes
    if file.read(4) == b"PK\x03\x04":
        check_zip(file, size)
    else:
        check_legacy(file, size)
    file.seek(0)


def check_zip(file: BinaryIO, size: int) -> None:
    directory = directory_bytes(file, size)
    if directory > MOST_DIRECTORY:
        raise ValueError(f"its zip directory alone takes {directory} bytes")
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("its zip directory names an entry twice")
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise ValueError(f'"{entry.filename[:80]}" in it is compressed; torch stores plain')
        if sum(entry.file_size for entry in entries.values()) > size:
            raise ValueError("its zip directory claims more bytes than the file has")
        folder = next(iter(entries), "").split("/")[0]
        if any(name.split("/")[0] != folder for name in entries):
            raise ValueError("it is a zip, but not one that torch wrote")
        if f"{folder}/constants.pkl" in entries:
            raise ValueError("it is a TorchScript program, not a file of weights")
        if f"{folder}/data.pkl" not in entries:
            raise ValueError(f"it is a zip without {folder[:80]}/data.pkl")
        if entries[f"{folder}/data.pkl"].file_size > MOST_PICKLE:
            raise ValueError(f"its data.pkl is over {MOST_PICKLE} bytes")
        claims = Claims()
        claims.play(pickletools.genops(archive.read(f"{folder}/data.pkl")))
    for key, storage in claims.storages.items():
        entry = entries.get(f"{folder}/data/{key}")
        held = entry.file_size if entry else 0
        if storage.bytes > held:
            raise ValueError(f"it claims {storage.bytes} bytes of numbers where {held} are")
    claims.check_total(size)


def directory_bytes(file: BinaryIO, size: int) -> int:
    """The size of the zip's directory, taken from the end of the file without reading it."""
    tail = 22 + 20 + 56  # end record, zip64 locator, zip64 end record
    file.seek(max(0, size - tail))
    end = file.read(tail)
    if end[-22:-18] != b"PK\x05\x06":
        raise ValueError("its zip directory is missing: the file is cut off or damaged")
    if end[-42:-38] == b"PK\x06\x07" and end[:4] == b"PK\x06\x06" and len(end) == tail:
        return struct.unpack_from("<Q", end, 40)[0]
    return struct.unpack_from("<I", end[-22:], 12)[0]


def check_legacy(file: BinaryIO, size: int) -> None:
    """Check a file from before torch 1.6.

    It has five pickles (magic, protocol, system, payload, storage keys), then the numbers.
    """
    file.seek(0)
    pickles = BytesIO(file.read(MOST_PICKLE))
    if Claims(largest=LEGACY_MAGIC).play(pickletools.genops(pickles)) != LEGACY_MAGIC:
        raise ValueError("it is no file that torch wrote")
    if Claims().play(pickletools.genops(pickles)) != LEGACY_PROTOCOL:
        raise ValueError("it is no file that torch wrote")
    Claims().play(pickletools.genops(pickles))
    claims = Claims()
    claims.play(pickletools.genops(pickles))
    Claims().play(pickletools.genops(pickles))
    held = size - pickles.tell()
    claimed = sum(storage.bytes for storage in claims.storages.values())
    if claimed > held:
        raise ValueError(f"it claims {claimed} bytes of numbers where {held} are")
    claims.check_total(size)


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names."""

    text: str


@dataclass(frozen=True)
class Storage:
    item: int  # bytes per number
    numbers: int

    @property
    def bytes(self) -> int:
        return self.item * self.numbers


class Container:
    """A dict, list or OrderedDict. Its content doesn't matter here."""


class Built:
    """A tensor or another finished object."""


class Stack:
    """What the pickle's operations work on. A mark puts the items before it aside."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def since_mark(self) -> list[Any]:
        found, self.items = self.items, self.marked.pop()
        return found

    def arrange(self, name: str, argument: Any) -> bool:
        """Carry out an operation that remembers, fetches or groups items. Is it one of these?"""
        if name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.items[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.items.append(self.memo[argument])
        elif name == "MARK":
            self.marked.append(self.items)
            self.items = []
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            self.items.append(Container())
        elif name == "EMPTY_TUPLE":
            self.items.append(())
        elif name == "TUPLE":
            found = self.since_mark()
            self.items.append(tuple(found))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.items[-count:] = [tuple(self.items[-count:])]
        elif name in ("APPENDS", "SETITEMS"):
            self.since_mark()
            require(self.items[-1], Container)
        elif name in ("APPEND", "SETITEM"):
            del self.items[-1 if name == "APPEND" else -2 :]
            require(self.items[-1], Container)
        elif name == "BUILD":  # attributes of an OrderedDict
            self.items.pop()
            require(self.items[-1], Container)
        else:
            return False
        return True


class Claims:
    """Interprets a pickle with sizes in place of tensors, and records the storages it asks for."""

    def __init__(self, largest: int = 2**63):
        self.largest = largest  # largest integer allowed; far larger ones have colliding hashes
        self.storages: dict[str, Storage] = {}
        self.tensor_bytes = 0

    def check_total(self, size: int) -> None:
        if self.tensor_bytes > size:
            raise ValueError(
                f"its tensors would take {self.tensor_bytes} bytes, the file has only {size}"
            )

    def play(self, operations: Iterator[tuple]) -> Any:
        """The pickled object, if it is a constant or a tuple of constants.

        operations: from pickletools.genops, which refuses a pickle without an end.
        """
        stack = Stack()
        protocol = PROTOCOL  # the oldest pickles don't state it
        for operation, argument, _ in operations:
            name, items = operation.name, stack.items
            if name in CONSTANTS:
                if isinstance(argument, int) and abs(argument) > self.largest:
                    raise ValueError("it holds an integer of more than 64 bits")
                items.append({"NEWTRUE": True, "NEWFALSE": False}.get(name, argument))
            elif name == "GLOBAL":
                items.append(Name(known(argument)))
            elif name == "BINPERSID":
                items.append(self.storage(items.pop()))
            elif name == "REDUCE":
                arguments = items.pop()
                items.append(self.built(items.pop(), arguments))
            elif name == "STOP":
                check_protocol(protocol)
                return items.pop()
            elif name == "PROTO":
                protocol = argument
            elif not stack.arrange(name, argument):
                raise ValueError(f"its pickle uses {name}, which no file of weights needs")

    def storage(self, claim: Any) -> Storage:
        """The storage that ("storage", type, key, location, numbers) asks for."""
        require(claim, tuple)
        kind, of, key, _, numbers = claim[:5]
        if kind != "storage" or not isinstance(of, Name) or not isinstance(key, str):
            raise ValueError("it asks for something that is no storage of numbers")
        if of.text not in STORAGES or not is_size(numbers) or len(claim) > 6 or any(claim[5:]):
            raise ValueError("it asks for a storage of an unknown kind")
        storage = Storage(STORAGES[of.text], numbers)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f'it claims two sizes for storage "{key[:80]}"')
        return storage

    def built(self, name: Any, arguments: Any) -> Any:
        require(name, Name)
        require(arguments, tuple)
        if name.text == TENSOR:
            self.check_tensor(*arguments[:4])
        elif name.text == DICTIONARY:
            if arguments:
                raise ValueError("it fills a dictionary in an unknown way")
            return Container()
        elif name.text in PARAMETERS:
            if not arguments or not isinstance(arguments[0], Built):
                raise ValueError("it makes a parameter of something that is no tensor")
            return arguments[0]
        elif name.text != "torch Size":
            raise ValueError(f'it calls "{name.text}", which no file of weights needs')
        return Built()

    def check_tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> None:
        require(storage, Storage)
        shape = [offset, *require(size, tuple), *require(stride, tuple)]
        if not all(map(is_size, shape)) or len(size) != len(stride) or len(size) > 8:
            raise ValueError("it holds a tensor with a strange shape")
        numbers = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if numbers and max(numbers, last + 1) > storage.numbers:
            raise ValueError(
                f"it claims a tensor of shape {list(size)} in a storage of {storage.numbers} "
                "numbers"
            )
        self.tensor_bytes += numbers * storage.item


def check_protocol(protocol: int) -> None:
    """Refuse other protocols: torch reads them, but prints a warning on the user's console."""
    if protocol != PROTOCOL:
        raise ValueError(
            f"its pickle is of protocol {protocol}, and torch writes {PROTOCOL}. Save it again "
            "with torch.save, without pickle_protocol"
        )


def known(argument: str) -> str:
    """The name, if files of weights need it. argument: "module name"."""
    if argument in NAMES:
        return argument
    if argument.startswith("numpy"):
        raise ValueError(
            f'it holds numpy numbers ("{argument[:80]}"), which readers that run no code refuse. '
            "Save it again with plain Python numbers where it was made"
        )
    raise ValueError(f'it asks for "{argument[:80]}", and a file of weights needs no such code')


def require(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError("its pickle is not built as torch builds one")
    return value


def is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
