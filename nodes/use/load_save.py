"""LoadHypernet and SaveHypernet: networks from and to the host's hypernetworks folder.

Hosts list the files of networks, but not trees of networks (.hns), so those are found here.
"""

from collections.abc import Callable
from pathlib import Path

from hypernet.formats.networks import SUFFIXES, TREE_SUFFIX, open_network, save_network
from hypernet.network.vocabulary import nearest_file
from hypernet.text.file_names import check_name, check_path
from hypernet.text.links import files_below
from hypernet.text.names import Match, find_name
from hypernet.tools.report import describe, report_text

from ...compat import io, network_folders, network_names, output_folder, ui
from ..shared.sockets import CATEGORY, HypernetSocket


class LoadHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetLoad",
            display_name="Load Hypernet",
            category=CATEGORY,
            description="Opens a hypernetwork file: A1111's .pt of any age, .safetensors, or a "
            "tree of them (.hns). A file that has changed on disk is read again.",
            search_aliases=["hypernetwork loader", "open hypernetwork", "pt file", "hns"],
            inputs=[
                io.Combo.Input(
                    "name", options=known_names(),
                    tooltip="File in models/hypernetworks.",
                ),
            ],
            outputs=[
                HypernetSocket.Output("hypernet", display_name="hypernet"),
                io.String.Output("description", display_name="description"),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, name: str) -> str:
        names = known_names() if name.endswith(TREE_SUFFIX) else [name]  # a tree reads other files
        stats = [(each, find(each).stat()) for each in names]
        return "\n".join(f"{each}/{s.st_mtime_ns}/{s.st_size}" for each, s in stats)

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        """Looks in the folder again, because the editor's list of names may be outdated."""
        try:
            return True if name is None else bool(find(name))
        except (OSError, ValueError) as fault:
            return str(fault)

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        match, path = found_by(name)
        network = open_network(path, network_folders())
        text = report_text(describe(path, network))
        return io.NodeOutput(network, text, ui=ui.PreviewText(f"{match.note}\n{text}".lstrip()))


class SaveHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetSave",
            display_name="Save Hypernet",
            category=CATEGORY,
            description="Writes a hypernetwork into models/hypernetworks. An existing file is "
            "never overwritten.",
            search_aliases=["save hypernetwork", "export hypernetwork"],
            is_output_node=True,
            inputs=[
                HypernetSocket.Input("hypernet", tooltip="The network to save."),
                io.String.Input(
                    "name", default="my_style",
                    tooltip="File name without suffix; folders are allowed: styles/ink.",
                ),
                io.Combo.Input(
                    "format", options=list(SUFFIXES), default=SUFFIXES[0], optional=True,
                    tooltip=".pt is A1111's and read by every loader; .safetensors has the same "
                    "content and cannot hold code.",
                ),
            ],
            outputs=[io.String.Output("path", display_name="path")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        return path_fault(name)

    @classmethod
    def execute(cls, hypernet, name: str, format: str = SUFFIXES[0]) -> io.NodeOutput:
        path = str(save_network(hypernet, new_file(name, format)))
        return io.NodeOutput(path, ui={"saved": [path], "text": [f"Saved {path}"]})


def known_names() -> list[str]:
    """The names of all networks and trees, relative to their folder, "/"-separated, sorted."""
    trees = [name for folder in network_folders() for name in files_below(folder, [TREE_SUFFIX])]
    return sorted({*network_names(), *trees})


def find(name: str) -> Path:
    """The file that a name means; see `found_by`."""
    return found_by(name)[1]


def found_by(name: str) -> tuple[Match, Path]:
    """(how the name was matched, the file).

    Raises FileNotFoundError with the nearest names, and ValueError if several fit equally.
    """
    names = known_names()
    match = find_name(name, names)
    if match is not None:
        for folder in network_folders():
            if (folder / match.name).is_file():
                return match, folder / match.name
    folder = network_folders()[0]
    near = nearest_file(name, names)
    raise FileNotFoundError(f'There is no hypernetwork "{name}" in {folder}. {near}')


def new_file(name: str, suffix: str = SUFFIXES[0]) -> Path:
    """The path for a new network. Raises ValueError or FileExistsError quoting the name."""
    path = network_file(bare_path(name), suffix)
    if path.exists():
        raise FileExistsError(
            f'There is already a hypernetwork "{path.name}" in {path.parent}; it is kept. '
            f'Choose another name than "{name}", or move that file away.'
        )
    return path


def network_file(name: str, suffix: str = SUFFIXES[0]) -> Path:
    return network_folders()[0] / f"{name}{suffix}"


def runs_folder() -> Path:
    return output_folder() / "hypernet"


def bare_path(name: str) -> str:
    """The name without a suffix of networks' files, such as "styles/ink".

    Raises ValueError if it is invalid.
    """
    given = check_path(name)
    suffix = next((each for each in SUFFIXES if given.endswith(each)), "")
    return check_path(given.removesuffix(suffix))  # checked twice: "...pt" leaves ".."


def path_fault(name: str | None) -> bool | str:
    """For validate_inputs: True, or what is wrong with a name that may have folders."""
    return fault_in(name, bare_path)


def name_fault(name: str | None) -> bool | str:
    """For validate_inputs: True, or what is wrong with a name without folders."""
    return fault_in(name, check_name)


def fault_in(name: str | None, check: Callable[[str], str]) -> bool | str:
    try:
        return True if name is None else bool(check(name))
    except ValueError as fault:
        return str(fault)
