"""LoadHypernet and SaveHypernet: networks from and to the host's hypernetworks folder."""

from pathlib import Path

from ..compat import io, network_folders, network_names, ui
from ..hypernet.files import check_name, open_network, save_network
from ..hypernet.report import as_text, describe
from ..hypernet.vocabulary import nearest
from .sockets import CATEGORY, HypernetSocket


class LoadHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetLoad",
            display_name="Load Hypernet",
            category=CATEGORY,
            description="Opens a hypernetwork file, A1111's .pt. A file that has changed on disk "
            "is read again.",
            search_aliases=["hypernetwork loader", "open hypernetwork", "pt file"],
            inputs=[
                io.Combo.Input(
                    "name", options=network_names(),
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
        stat = find(name).stat()
        return f"{name}/{stat.st_mtime_ns}/{stat.st_size}"

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        """The list that the editor has may be older than the folder: look again."""
        try:
            return True if name is None else bool(find(name))
        except OSError as fault:
            return str(fault)

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        path = find(name)
        text = as_text(describe(path))
        return io.NodeOutput(open_network(path), text, ui=ui.PreviewText(text))


class SaveHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetSave",
            display_name="Save Hypernet",
            category=CATEGORY,
            description="Writes a hypernetwork as A1111's .pt into models/hypernetworks. "
            "An existing file is never overwritten.",
            search_aliases=["save hypernetwork", "export hypernetwork"],
            is_output_node=True,
            inputs=[
                HypernetSocket.Input("hypernet", tooltip="The network to save."),
                io.String.Input(
                    "name", default="my_style", tooltip="File name, without folder and suffix."
                ),
            ],
            outputs=[io.String.Output("path", display_name="path")],
        )

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        return name_fault(name)

    @classmethod
    def execute(cls, hypernet, name: str) -> io.NodeOutput:
        path = str(save_network(hypernet, new_file(name)))
        return io.NodeOutput(path, ui={"saved": [path], "text": [f"Saved {path}"]})


def find(name: str) -> Path:
    """The file of a listed name; raises FileNotFoundError with the nearest names."""
    for folder in network_folders():
        if name in network_names() and (folder / name).is_file():
            return folder / name
    folder = network_folders()[0]
    known = nearest(name, network_names()) or "the folder is empty"
    raise FileNotFoundError(f'There is no hypernetwork "{name}" in {folder}. Nearest: {known}.')


def new_file(name: str) -> Path:
    """Where a new network of this name goes; raises ValueError or FileExistsError, quoting it."""
    stem = check_name(name).removesuffix(".pt")
    path = network_folders()[0] / f"{stem}.pt"
    if path.exists():
        raise FileExistsError(
            f'There is already a hypernetwork "{path.name}" in {path.parent}; it is kept. '
            f'Choose another name than "{name}", or move that file away.'
        )
    return path


def name_fault(name: str | None) -> bool | str:
    try:
        return True if name is None else bool(check_name(name))
    except ValueError as fault:
        return str(fault)
