"""The folders of the stand-in: ./input, ./output, ./models, and ./user for the editor's files.

`HYPERNET_INPUT`, `HYPERNET_OUTPUT`, `HYPERNET_MODELS` and `HYPERNET_USER` change a folder for the
process; `configured(...)` changes it for a block and wins. Names inside models/ are ComfyUI's, so
an existing ComfyUI models folder can be used directly. Every lookup reads the disk again, so a file
that one node has just written is found by the next.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

from hypernet.apply.prompt_tags import KNOWN_AS
from hypernet.formats.networks import TREE_SUFFIX
from hypernet.text.file_names import check_new_folders
from hypernet.text.links import files_below, is_inside, walk
from hypernet.text.names import READINGS, exists, find_below, find_name, quoted

NETWORK_ENDINGS = (".pt", ".safetensors")
WEIGHT_ENDING = ".safetensors"
EMBEDDING_ENDINGS = (".safetensors", ".pt", ".bin")  # the first that exists counts

_moved: ContextVar[Mapping[str, Path]] = ContextVar("moved folders", default=MappingProxyType({}))

_fenced: ContextVar[bool] = ContextVar("fenced folders", default=False)

Say = Callable[[str], object]  # called with a sentence if a name was not exact


def unsaid(note: str) -> None:
    """Ignore the note. For lookups before the run, which looks up the name again and reports it."""


@contextmanager
def configured(
    *,
    input: str | Path | None = None,
    output: str | Path | None = None,
    models: str | Path | None = None,
    user: str | Path | None = None,
    fenced: bool = False,
) -> Iterator[None]:
    """Inside the block, the folders given here replace the defaults.

    fenced: graphs may read only in these folders, because strangers may have sent them.
    """
    given = {"input": input, "output": output, "models": models, "user": user}
    moved = {name: Path(path) for name, path in given.items() if path is not None}
    token, before = _moved.set({**_moved.get(), **moved}), _fenced.set(fenced or _fenced.get())
    try:
        yield
    finally:
        _moved.reset(token)
        _fenced.reset(before)


def _folder(name: str) -> Path:
    moved = _moved.get().get(name)
    return (moved or Path(os.environ.get(f"HYPERNET_{name.upper()}") or name)).absolute()


def input_folder() -> Path:
    return _folder("input")


def output_folder() -> Path:
    return _folder("output")


def temp_folder() -> Path:
    return output_folder() / "temp"


def dataset_folders() -> list[Path] | None:
    """The folders that datasets may be in; None for anywhere.

    Anywhere is allowed if the graph is the user's own, who could read the same files without it.
    """
    return [input_folder(), output_folder()] if _fenced.get() else None


def models_folder() -> Path:
    return _folder("models")


def user_folder() -> Path:
    """Workflows and settings of the editor, laid out as in ComfyUI's user folder."""
    return _folder("user")


def network_folders() -> list[Path]:
    """Where hypernetworks are; new files go into the first folder."""
    return [models_folder() / "hypernetworks"]


def network_names() -> list[str]:
    """Names of the network files relative to their folder, "/"-separated, sorted."""
    return sorted({n for folder in network_folders() for n in files_below(folder, NETWORK_ENDINGS)})


def find_network(name: str, say: Say = unsaid) -> Path:
    """The path `name` if it exists, otherwise the network of that name in models/hypernetworks.

    If there is neither, the path is returned as it is. Raises ValueError quoting the names if
    several match equally well.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if near := find_below(path.parent, path.name):
        say(near.note)
        return path.with_name(near.name)
    for folder in network_folders():
        if match := find_name(name, files_below(folder, (*NETWORK_ENDINGS, TREE_SUFFIX)), KNOWN_AS):
            if match.note:
                say(match.note)
            return folder / match.name
    return path


def lora_folder() -> Path:
    return models_folder() / "loras"


def model_folders(name: str) -> list[Path]:
    return [models_folder() / name]


def checkpoint_names() -> list[str]:
    """Single files and diffusers folders in models/checkpoints, "/"-separated, sorted."""
    found = []
    for visit in walk(models_folder() / "checkpoints"):
        files = [entry.name for entry in visit.files if os.path.exists(entry.path)]
        if "model_index.json" in files:
            found.append(visit.name)
            visit.folders.clear()  # its parts are not checkpoints of their own
        else:
            found += [visit.inside(file) for file in files if file.lower().endswith(WEIGHT_ENDING)]
    return sorted(filter(None, found))


def weight_file_names(kind: str) -> list[str]:
    """.safetensors files in models/<kind>, "/"-separated, sorted."""
    return files_below(models_folder() / kind, [WEIGHT_ENDING])


def find_embedding(name: str) -> tuple[Path, str] | None:
    """The embedding called `name` anywhere below models/embeddings, with or without its ending.

    Returns the file and how its name differs, "" if it doesn't. Raises ValueError quoting the
    names if several match equally well, but none exactly.
    """
    top = models_folder() / "embeddings"
    files = sorted(
        files_below(top, EMBEDDING_ENDINGS), key=lambda file: (file.count("/"), Path(file))
    )
    wanted = name.strip("/\\")
    for read, differs in READINGS if wanted else ():
        known = [(file, read(f"/{file}")) for file in files]
        for ending in ("", *EMBEDDING_ENDINGS):
            meant = read(f"/{wanted}{ending}")
            found = [file for file, name in known if name.endswith(meant)]
            if differs and len({Path(file).name for file in found}) > 1:
                raise ValueError(f'"embedding:{name}" may be any of {quoted(found)}.')
            if found:
                return top / found[0], differs
    return None


def embedding_names() -> list[str]:
    """The names of the files in models/embeddings, without their endings."""
    files = files_below(models_folder() / "embeddings", EMBEDDING_ENDINGS)
    return sorted({Path(file).stem for file in files})


def find_checkpoint(name: str, say: Say = unsaid) -> Path:
    """The file or diffusers folder called `name` in models/checkpoints, or the path `name`.

    Raises FileNotFoundError with the nearest names, and ValueError quoting the names if several
    match equally well.
    """
    return _find("checkpoints", "checkpoint", name, checkpoint_names(), say)


def find_weight_file(kind: str, what: str, name: str, say: Say = unsaid) -> Path:
    """As `find_checkpoint`, for a file in models/<kind>. what: what the error calls it."""
    return _find(kind, what, name, weight_file_names(kind), say)


def _find(kind: str, what: str, name: str, known: list[str], say: Say) -> Path:
    top = models_folder() / kind
    for path in (top / name, Path(name).expanduser()):
        if name and path.exists() and (is_inside(path, top) or not _fenced.get()):
            return path
    if match := find_name(name, known):
        say(match.note)
        return top / match.name
    near = difflib.get_close_matches(name, known, 3, 0.3) or known[:3]
    hint = f"Near: {', '.join(near)}." if near else "That folder has none."
    raise FileNotFoundError(f'{what} "{name}" is neither in {top} nor a path. {hint}')


def resolve(name: str, say: Say = unsaid) -> Path:
    """The path of "a.png [output]" or "a.png [temp]"; without a mark, in the input folder.

    Raises ValueError if the name leads out of its folder or several files match equally well.
    """
    folder = input_folder()
    for note, place in (
        (" [input]", input_folder),
        (" [output]", output_folder),
        (" [temp]", temp_folder),
    ):
        if name.endswith(note):
            name, folder = name.removesuffix(note), place()
    path = within(folder, name)
    match = None if exists(path) else find_below(folder, name)
    if match is None:
        return path
    say(match.note)
    return folder / match.name


def within(folder: Path, name: str) -> Path:
    """The path of `name` in `folder`. Raises ValueError if it leads out of the folder."""
    path = Path(os.path.abspath(folder / name))
    if not is_inside(path, folder) or "\0" in name:
        raise ValueError(f'"{name}" leads out of {folder}; give a name inside that folder.')
    return folder / path.relative_to(os.path.abspath(folder))


def next_file(prefix: str, folder: Path, ending: str) -> Path:
    """The next free "<prefix>_00001_<ending>" in a folder. Subfolders in the prefix are created.

    Raises ValueError if the prefix leads out of the folder or some system can't have such a file.
    """
    try:
        stem = within(folder, prefix.replace("\\", "/"))
        if stem == folder:
            raise ValueError
    except ValueError:
        raise ValueError(
            f'file name prefix "{prefix}" leads out of {folder}; give a name in it.'
        ) from None
    check_new_folders(stem, folder)
    stem.parent.mkdir(parents=True, exist_ok=True)
    taken = [
        int(digits)
        for file in os.listdir(stem.parent)
        if file.startswith(f"{stem.name}_")
        and (digits := file[len(stem.name) + 1 :].split(".")[0].split("_")[0]).isdecimal()
    ]
    return stem.with_name(f"{stem.name}_{max(taken, default=0) + 1:05}_{ending}")
