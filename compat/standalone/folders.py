"""Where the stand-in reads and writes: ./input, ./output, ./models and, for what the editor keeps,
./user, unless told otherwise.

`HYPERNET_INPUT`, `HYPERNET_OUTPUT`, `HYPERNET_MODELS` and `HYPERNET_USER` move a folder for the
process; `configured(...)` moves it for a block and wins. Inside models/ the names are ComfyUI's, so
an existing ComfyUI models folder serves as it is. Every look-up reads the disk anew: a file that a
node has just written is there for the next one.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

NETWORK_ENDINGS = (".pt", ".safetensors")
WEIGHT_ENDING = ".safetensors"
EMBEDDING_ENDINGS = (".safetensors", ".pt", ".bin")  # the first that is there counts

_moved: ContextVar[Mapping[str, Path]] = ContextVar("moved folders", default=MappingProxyType({}))

_fenced: ContextVar[bool] = ContextVar("fenced folders", default=False)


@contextmanager
def configured(
    *,
    input: str | Path | None = None,
    output: str | Path | None = None,
    models: str | Path | None = None,
    user: str | Path | None = None,
    fenced: bool = False,
) -> Iterator[None]:
    """Inside the block, the folders given here take the place of the defaults.

    fenced: graphs read in these folders alone, because they may be those of strangers.
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
    """None, for everywhere: who runs a graph here may read the same files without it."""
    return [input_folder(), output_folder()] if _fenced.get() else None


def models_folder() -> Path:
    return _folder("models")


def user_folder() -> Path:
    """Workflows and settings of the editor, laid out as in ComfyUI's user folder."""
    return _folder("user")


def network_folders() -> list[Path]:
    """Where hypernetworks lie; new files go into the first."""
    return [models_folder() / "hypernetworks"]


def network_names() -> list[str]:
    """Names of the network files relative to their folder, "/"-separated, sorted."""
    return sorted(
        {
            path.relative_to(folder).as_posix()
            for folder in network_folders()
            for path in folder.rglob("*")
            if path.suffix.lower() in NETWORK_ENDINGS and path.is_file()
        }
    )


def lora_folder() -> Path:
    return models_folder() / "loras"


def model_folders(name: str) -> list[Path]:
    return [models_folder() / name]


def checkpoint_names() -> list[str]:
    """Single files and diffusers folders under models/checkpoints, "/"-separated, sorted."""
    found = []
    top = models_folder() / "checkpoints"
    for folder, children, files in os.walk(top, followlinks=True):
        here = Path(folder)
        if "model_index.json" in files:
            found.append(here)
            children.clear()  # its parts are not checkpoints of their own
        else:
            found += [here / file for file in files if file.lower().endswith(WEIGHT_ENDING)]
    return sorted(path.relative_to(top).as_posix() for path in found if path != top)


def weight_file_names(kind: str) -> list[str]:
    """.safetensors files under models/<kind>, "/"-separated, sorted."""
    top = models_folder() / kind
    return sorted(
        path.relative_to(top).as_posix()
        for path in top.rglob("*")
        if path.suffix.lower() == WEIGHT_ENDING and path.is_file()
    )


def find_embedding(name: str) -> Path | None:
    """The file called name, with or without its ending, in or anywhere below models/embeddings;
    letters of another case count where no name is exact."""
    top = models_folder() / "embeddings"
    found = [
        Path(folder, file)
        for folder, _, files in os.walk(top, followlinks=True)
        for file in files
        if file.lower().endswith(EMBEDDING_ENDINGS)
    ]
    found.sort(key=lambda path: (len(path.parts), path))
    wanted = name.replace("\\", "/").strip("/")
    for alike in (str, str.casefold):
        for ending in ("", *EMBEDDING_ENDINGS):
            for path in found if wanted else ():
                if f"/{alike(path.relative_to(top).as_posix())}".endswith(
                    alike(f"/{wanted}{ending}")
                ):
                    return path
    return None


def embedding_names() -> list[str]:
    """Of the files in models/embeddings, without their endings."""
    top = models_folder() / "embeddings"
    return sorted({p.stem for p in top.rglob("*") if p.suffix.lower() in EMBEDDING_ENDINGS})


def find_checkpoint(name: str) -> Path:
    """The file or diffusers folder called name under models/checkpoints, or the path name itself.

    Raises FileNotFoundError with the nearest names.
    """
    return _find("checkpoints", "checkpoint", name, checkpoint_names())


def find_weight_file(kind: str, what: str, name: str) -> Path:
    """The same for a file under models/<kind>; `what` it is called in the error."""
    return _find(kind, what, name, weight_file_names(kind))


def _find(kind: str, what: str, name: str, known: list[str]) -> Path:
    top = models_folder() / kind
    for path in (top / name, Path(name).expanduser()):
        inside = Path(os.path.abspath(path)).is_relative_to(top)  # links lead where they like
        if name and path.exists() and (inside or not _fenced.get()):
            return path
    near = difflib.get_close_matches(name, known, 3, 0.3) or known[:3]
    hint = f"Near: {', '.join(near)}." if near else "That folder has none."
    raise FileNotFoundError(f'{what} "{name}" is neither in {top} nor a path. {hint}')


def resolve(name: str) -> Path:
    """The path of "a.png", "a.png [output]" or "a.png [temp]"; without a note, of the input folder.

    Raises ValueError for a name that leads out of its folder.
    """
    folder = input_folder()
    for note, place in (
        (" [input]", input_folder),
        (" [output]", output_folder),
        (" [temp]", temp_folder),
    ):
        if name.endswith(note):
            name, folder = name.removesuffix(note), place()
    return within(folder, name)


def within(folder: Path, name: str) -> Path:
    """The path of name in folder. Raises ValueError for a name that leads out of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f'"{name}" leads out of {folder}; give a name inside that folder.')
    return path


def next_file(prefix: str, folder: Path, ending: str) -> Path:
    """The first free "<prefix>_00001_<ending>" in folder; prefix may have subfolders, made here.

    Raises ValueError for a prefix that leads out of the folder.
    """
    stem = folder / prefix
    if not stem.resolve().is_relative_to(folder.resolve()) or not Path(prefix).name:
        raise ValueError(f'file name prefix "{prefix}" leads out of {folder}; give a name in it.')
    stem.parent.mkdir(parents=True, exist_ok=True)
    taken = [
        int(digits)
        for file in os.listdir(stem.parent)
        if file.startswith(f"{stem.name}_")
        and (digits := file[len(stem.name) + 1 :].split(".")[0].split("_")[0]).isdecimal()
    ]
    return stem.with_name(f"{stem.name}_{max(taken, default=0) + 1:05}_{ending}")
