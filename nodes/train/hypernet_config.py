"""HypernetConfig: chooses the shape of the network to train, and estimates its size."""

from dataclasses import replace

from hypernet.disk_space import as_size
from hypernet.network.spec import (
    SD1_WIDTHS,
    HypernetSpec,
    listed,
    parse_dropout,
    parse_structure,
    read_widths,
)
from hypernet.network.vocabulary import ACTIVATIONS, INITIALIZATIONS, NORMAL
from hypernet.training.advice import spec_warnings
from hypernet.training.auto import chosen_initialization
from hypernet.training.presets import AUTO

from ... import compat
from ...compat import Faults, io, ui
from ..shared.sockets import CATEGORY, Config, ConfigSocket, default


class HypernetConfig(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetConfig",
            display_name="Hypernet Config",
            category=CATEGORY,
            description="The shape of the hypernetwork to train: layers, activation, dropout.",
            search_aliases=["hypernetwork structure", "layer structure", "create hypernetwork"],
            inputs=[
                io.String.Input(
                    "layer_structure",
                    default=listed(default(HypernetSpec, "layer_structure")),
                    tooltip="Layer widths as factors of the attention width; begins and ends "
                    "with 1. Common: 1, 2, 1 · 1, 2, 2, 1 · 1, 2, 4, 2, 1.",
                ),
                io.Combo.Input(
                    "activation",
                    options=list(ACTIVATIONS),
                    default=default(HypernetSpec, "activation"),
                    tooltip="Function between the layers, by A1111's names (its swish is "
                    "Hardswish).",
                ),
                io.Combo.Input(
                    "weight_initialization",
                    options=[AUTO, *INITIALIZATIONS],
                    default=AUTO,
                    advanced=True,
                    tooltip="How weights begin. auto: as the preset of the training says. Normal "
                    "is the quiet one of A1111: standard deviation 0.01. ZeroOutput is ours: the "
                    "network begins as nothing, as a LoRA does, and learns sooner; A1111 opens its "
                    "files too.",
                ),
                io.Boolean.Input(
                    "layer_norm",
                    default=default(HypernetSpec, "layer_norm"),
                    advanced=True,
                    tooltip="Normalize after every layer. Needs about 10 times the learning "
                    "rate; with linear it may learn nothing.",
                ),
                io.String.Input(
                    "dropout_structure",
                    default="",
                    advanced=True,
                    tooltip="Dropout probability per entry of the structure, e.g. 0, 0.3, 0. "
                    "Empty: none.",
                ),
                io.Boolean.Input(
                    "activate_output",
                    default=default(HypernetSpec, "activate_output"),
                    advanced=True,
                    tooltip="Also use the activation after the last layer, as files of October "
                    "2022 do.",
                ),
                io.String.Input(
                    "widths",
                    default="",
                    advanced=True,
                    tooltip="Attention widths to train, e.g. 768, 320. Empty: every width of "
                    "the model.",
                ),
                io.Int.Input(
                    "seed",
                    default=default(HypernetSpec, "seed"),
                    min=0,
                    max=2**53,
                    control_after_generate=False,
                    advanced=True,
                    tooltip="Seed of the first weights.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model to train on; only used to foretell the size. Without it "
                    "SD 1.x is assumed.",
                ),
            ],
            outputs=[
                ConfigSocket.Output("config", display_name="config"),
                io.String.Output("summary", display_name="summary"),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        layer_structure: str | None = None,
        dropout_structure: str | None = None,
        widths: str | None = None,
    ) -> bool | str:
        """Each text is checked together with the valid ones before it.

        A value that comes from another node is None.
        """
        faults, spec = Faults(), HypernetSpec(layer_structure=(1, 1))
        layers = None  # the number of layers, once it is known
        with faults.of("widths"):
            spec = replace(spec, widths=read_widths(widths or "") or SD1_WIDTHS)
        with faults.of("layer_structure"):
            if layer_structure is not None:
                structure = parse_structure(layer_structure)
                spec = replace(spec, layer_structure=structure, dropout_structure=())
                layers = len(structure)
        with faults.of("dropout_structure"):
            dropout = parse_dropout(dropout_structure or "", layers)
            if layers is not None:
                replace(spec, dropout_structure=dropout)
        return faults.answer()

    @classmethod
    def execute(
        cls, layer_structure: str, activation: str, weight_initialization: str, layer_norm: bool,
        dropout_structure: str, activate_output: bool, widths: str, seed: int, model=None,
    ) -> io.NodeOutput:  # fmt: skip
        found = SD1_WIDTHS if model is None else every_width(model)
        is_open = weight_initialization == AUTO
        spec = spec_of(
            found, layer_structure, dropout_structure, widths,
            activation=activation, layer_norm=layer_norm, activate_output=activate_output,
            weight_initialization=weight_initialization, seed=seed,
        )  # fmt: skip
        trained = listed(spec.widths)
        if model is None and not widths.strip():
            trained = f"{trained} (as for SD 1.x; the trained model decides)"
        summary = (
            f"{spec.parameters:,} parameters, {as_size(spec.file_bytes)} a file, widths {trained}"
        )
        summary = "\n".join([summary, *(f"Note: {warning}" for warning in spec_warnings(spec))])
        config = Config(spec, every_width=not widths.strip(), is_open=is_open)
        return io.NodeOutput(config, summary, ui=ui.PreviewText(summary))


def every_width(model) -> tuple[int, ...]:
    kinds = compat.attention_widths(model)
    return tuple(sorted({width for widths in kinds.values() for width in widths}))


def chosen_spec(
    config: Config, model, preset: str, before: HypernetSpec | None = None
) -> HypernetSpec:
    """The spec to train on this model. Raises ValueError for widths that the model does not have.

    before: that of the network that is trained further, if there is one.
    """
    widths, wanted = every_width(model), config.spec
    if config.every_width:
        wanted = replace(wanted, widths=before.widths if before else widths)
    if config.is_open:
        begins = before.weight_initialization if before else chosen_initialization(preset, wanted)
        wanted = replace(wanted, weight_initialization=begins)
    missing = sorted(set(wanted.widths) - set(widths))
    if missing:
        raise ValueError(
            f"Widths {listed(missing)} are not in this model, which has {listed(widths)}. "
            "Leave widths empty in Hypernet Config to train all of them, and continue from a "
            "network for this kind of model."
        )
    return wanted


def spec_of(
    found: tuple[int, ...], structure: str, dropout: str, widths: str,
    *, weight_initialization: str, **settings,
) -> HypernetSpec:  # fmt: skip
    """The spec that the widgets' texts describe. Raises ValueError quoting what is wrong.

    An initialization that is left to the preset counts as Normal here, see chosen_spec.
    """
    layers, begins = parse_structure(structure), weight_initialization
    return HypernetSpec(
        widths=read_widths(widths) or found,
        layer_structure=layers,
        dropout_structure=parse_dropout(dropout, len(layers)),
        weight_initialization=NORMAL if begins == AUTO else begins,
        **settings,
    )
