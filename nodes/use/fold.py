"""FoldHypernet folds a linear network into a model; HypernetToLora writes it as a LoRA file."""

from hypernet.apply.fit import check_fit
from hypernet.apply.fold import rounding_note, weight_changes
from hypernet.apply.lora_file import Lora, save_lora, to_lora
from hypernet.disk_space import as_size
from hypernet.text.file_names import check_name

from ... import compat
from ...compat import io, lora_folder, ui
from ..shared.sockets import CATEGORY, HypernetSocket
from .load_save import name_fault

FOLDED = "hypernet_folded"  # attachment: (the unfolded model, the (network, strength) pairs folded)


class FoldHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetFold",
            display_name="Fold Hypernet",
            category=CATEGORY,
            description="Builds a linear hypernetwork into the model's weights: the pictures of "
            "Apply Hypernet, at no cost per step. Networks with an activation or layer norm are "
            "refused. Chain several; put LoRAs before and other Apply Hypernet nodes too.",
            search_aliases=["bake hypernetwork", "merge hypernetwork into model", "fast"],
            inputs=[
                io.Model.Input("model", tooltip="The model to build into. It is not changed."),
                HypernetSocket.Input("hypernet", tooltip="A linear network, of any depth."),
                io.Float.Input(
                    "strength", default=1.0, min=-10.0, max=10.0, step=0.01,
                    tooltip="Factor on what the network adds: 1 as trained.",
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model")],
        )  # fmt: skip

    @classmethod
    def execute(cls, model, hypernet, strength: float) -> io.NodeOutput:
        if strength == 0:
            return io.NodeOutput(model)
        warning = check_fit(hypernet, compat.attention_widths(model), compat.architecture(model))
        before, folded = model.get_attachment(FOLDED) or (model, ())
        chain = (*folded, (hypernet, strength))
        changes = dict(weight_changes(compat.attention_weights(before), chain, folded=folded))
        changed = compat.with_weight_changes(model, changes)
        changed.set_attachments(FOLDED, (before, chain))
        notes = [warning, rounding_note(model.model_dtype()), start_note(hypernet)]
        said = "\n".join(filter(None, notes))
        return io.NodeOutput(changed, ui=ui.PreviewText(said) if said else None)


def start_note(hypernet) -> str:
    """A note if its strength should change while sampling, which a folded one cannot; else ""."""
    if curve := hypernet.record.curve:
        return (
            f'The network was trained with the strengths "{curve}" along sampling; in the weights '
            "it has one strength. Compare with Apply Hypernet."
        )
    if not hypernet.record.start:
        return ""
    return (
        f"The network was trained to act from {hypernet.record.start:g} of sampling on; in the "
        "weights it acts from the beginning. Use less strength."
    )


class HypernetToLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetToLora",
            display_name="Hypernet to LoRA",
            category=CATEGORY,
            description="Writes a linear hypernetwork as a LoRA file for this model, into "
            "models/loras. It belongs to the model whose weights it was made from, and is near "
            "the network on its relatives. An existing file is never overwritten.",
            search_aliases=["export lora", "convert hypernetwork to lora", "lycoris"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The model that the file is for."),
                HypernetSocket.Input("hypernet", tooltip="A linear network, of any depth."),
                io.String.Input(
                    "name", default="my_style", tooltip="File name, without folder and suffix."
                ),
                io.Float.Input(
                    "strength", default=1.0, min=-10.0, max=10.0, step=0.01, advanced=True,
                    tooltip="Strength of the network that is strength 1 of the LoRA.",
                ),
                io.Int.Input(
                    "rank", default=0, min=0, max=1024,
                    tooltip="0: whole differences, exact and large. Else the rank of each "
                    "matrix; the error is reported.",
                ),
                io.Combo.Input(
                    "numbers", options=["float16", "float32"], default="float16", advanced=True,
                    tooltip="Type of the numbers in the file; float32 is twice as large.",
                ),
            ],
            outputs=[
                io.String.Output("path", display_name="path"),
                io.Float.Output("error", display_name="error"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        return name_fault(name)

    @classmethod
    def execute(
        cls, model, hypernet, name: str, strength: float, rank: int, numbers: str
    ) -> io.NodeOutput:
        if model.get_attachment(FOLDED):
            raise ValueError(
                "This model has a folded hypernetwork already. Give the model as it was before "
                "Fold Hypernet; to write several networks as one, merge them in sequence first."
            )
        path = lora_folder() / f"{check_name(name).removesuffix('.safetensors')}.safetensors"
        if path.exists():
            raise FileExistsError(
                f'There is already a LoRA "{path.name}" in {path.parent}; it is kept. '
                f'Choose another name than "{name}", or move that file away.'
            )
        warning = check_fit(hypernet, compat.attention_widths(model), compat.architecture(model))
        lora = to_lora(
            compat.attention_weights(model), hypernet, strength, rank=rank, numbers=numbers
        )
        save_lora(lora, path)
        return io.NodeOutput(
            str(path), lora.error, ui=ui.PreviewText(f"{warning}\n{summary(path, lora)}".lstrip())
        )


def summary(path, lora: Lora) -> str:
    return (
        f"{path.name}: {as_size(path.stat().st_size)}, relative error of its matrices "
        f"{lora.error:.2g}"
    )
