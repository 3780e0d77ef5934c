"""AverageHypernet: an average of a run's updates, of any width, from the snapshots that it kept."""

from hypernet.formats.networks import save_network
from hypernet.network.power_averages import MOST_WIDTH, exponent_of
from hypernet.runs.average_choice import find_run, make_average
from hypernet.runs.snapshots import runs_with_snapshots, snapshot_files, some_snapshot_files

from ...compat import Faults, io
from ..shared.sockets import TOOLS, HypernetSocket
from .load_save import bare_path, new_file, runs_folder


class AverageHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetAverage",
            display_name="Average Hypernet",
            category=TOOLS,
            description="An average of the last updates of a training, as long as you like, saved "
            "in models/hypernetworks. The run must have kept averages (Train Hypernet). An "
            "existing file is never overwritten.",
            search_aliases=["ema", "post-hoc ema", "moving average"],
            is_output_node=True,
            inputs=[
                io.Combo.Input(
                    "run", options=runs_with_snapshots(runs_folder()),
                    tooltip="A training that has kept averages.",
                ),
                io.Float.Input(
                    "width", default=0.0, min=0.0, max=MOST_WIDTH, step=0.01,
                    tooltip="How far the average reaches back, as a part of the training: 0.05 is "
                    "short, 0.1 usual, 0.15 long. 0: the width that did best on the run's probe.",
                ),
                io.String.Input(
                    "name", default="my_style_average",
                    tooltip="File name without suffix; folders are allowed: styles/ink.",
                ),
            ],
            outputs=[
                HypernetSocket.Output("hypernet", display_name="hypernet"),
                io.String.Output("path", display_name="path"),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, run: str, **others) -> str:
        folder = find_run(run, runs_folder())
        files = [path for path, _ in snapshot_files(folder)] + [folder / "manifest.json"]
        stats = [(path.name, path.stat()) for path in files if path.exists()]
        return "\n".join(f"{name}/{s.st_mtime_ns}/{s.st_size}" for name, s in stats)

    @classmethod
    def validate_inputs(
        cls, run: str | None = None, width: float | None = None, name: str | None = None
    ) -> bool | str:
        faults = Faults()
        with faults.of("run"):
            if run is not None:
                some_snapshot_files(find_run(run, runs_folder()))
        with faults.of("width"):
            if width:
                exponent_of(width)
        with faults.of("name"):
            if name is not None:
                bare_path(name)
        return faults.answer()

    @classmethod
    def execute(cls, run: str, width: float, name: str) -> io.NodeOutput:
        folder = find_run(run, runs_folder())
        file, _ = some_snapshot_files(folder)[-1]
        path = new_file(name, file.suffix)
        average = make_average(folder, width, path.stem)
        saved = str(save_network(average.network, path))
        text = "\n".join([average.about, f"Saved {saved}"])
        return io.NodeOutput(average.network, saved, ui={"saved": [saved], "text": [text]})
