"""HypernetConfig: chooses the shape of the network to train, and estimates its size."""

from dataclasses import replace

from hypernet.disk_space import as_size
from hypernet.network.for_model import (
    USUAL,
    Streams,
    fitted,
    read_places,
    usual_structure,
    widths_of,
)
from hypernet.network.places import PLACES
from hypernet.network.spec import (
    MOST_GROUPS,
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
                    default=AUTO,
                    tooltip="Layer widths as factors of the attention width; begins and ends "
                    "with 1. auto: 1, 2, 1 in Stable Diffusion, 1, 0.25, 1 in larger models. "
                    "Common: 1, 2, 1 · 1, 2, 2, 1 · 1, 2, 4, 2, 1.",
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
                io.String.Input(
                    "places",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="In transformers, such as Flux: the streams to train, e.g. image, "
                    f"joint; of {', '.join(PLACES)}. Empty: all of the model, without refiners.",
                ),
                io.Int.Input(
                    "groups",
                    default=1,
                    min=1,
                    max=MOST_GROUPS,
                    optional=True,
                    advanced=True,
                    tooltip="In transformers: into how many parts the blocks are divided, each "
                    "with weights of its own. More learn more, in a larger file.",
                ),
                io.Boolean.Input(
                    "bias",
                    default=default(HypernetSpec, "bias"),
                    optional=True,
                    advanced=True,
                    tooltip="Layers also add a constant. Off: a linear network can be folded into "
                    "any transformer, and become a LoRA of it.",
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
        places: str | None = None,
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
                structure = read_structure(layer_structure, USUAL)
                spec = replace(spec, layer_structure=structure, dropout_structure=())
                layers = len(structure)
        with faults.of("dropout_structure"):
            dropout = parse_dropout(dropout_structure or "", layers)
            if layers is not None:
                replace(spec, dropout_structure=dropout)
        with faults.of("places"):
            read_places(places or "")
        return faults.answer()

    @classmethod
    def execute(
        cls, layer_structure: str, activation: str, weight_initialization: str, layer_norm: bool,
        dropout_structure: str, activate_output: bool, widths: str, seed: int, model=None,
        places: str = "", groups: int = 1, bias: bool = True,
    ) -> io.NodeOutput:  # fmt: skip
        streams = {"": SD1_WIDTHS} if model is None else compat.attention_widths(model)
        typed = {
            "layer_structure": layer_structure,
            "weight_initialization": weight_initialization,
            "widths": widths,
        }
        config = Config(
            spec_of(
                streams, layer_structure, dropout_structure, widths,
                activation=activation, layer_norm=layer_norm, activate_output=activate_output,
                weight_initialization=weight_initialization, seed=seed, bias=bias,
            ),
            open={name for name, text in typed.items() if text.strip() in ("", AUTO)},
            places=read_places(places),
            groups=groups,
        )  # fmt: skip
        architecture = None if model is None else compat.architecture(model)
        summary = summary_of(config, streams, architecture)
        return io.NodeOutput(config, summary, ui=ui.PreviewText(summary))


def summary_of(config: Config, streams: Streams, architecture: str | None) -> str:
    """The size of the network, and warnings.

    If no model is known, streams are those of SD 1, and architecture is None.
    """
    spec = config.spec
    if architecture is not None:
        spec = fitted(
            spec, streams, every_width=False, chosen=config.places, groups=config.groups,
            architecture=architecture,
        )  # fmt: skip
    trained = listed(spec.widths)
    if spec.places:
        trained = f"{trained} in {', '.join(dict(spec.places))}"
    elif architecture is None and "widths" in config.open:
        trained = f"{trained} (as for SD 1.x; the trained model decides)"
    size = f"{spec.parameters:,} parameters, {as_size(spec.file_bytes)} a file, widths {trained}"
    return "\n".join([size, *(f"Note: {warning}" for warning in spec_warnings(spec))])


def chosen_spec(
    config: Config, model, preset: str, before: HypernetSpec | None = None
) -> HypernetSpec:
    """The spec to train on this model. Raises ValueError for what the model does not have.

    before: that of the network that is trained further, if there is one.
    """
    streams, wanted, places = compat.attention_widths(model), config.spec, config.places
    if "layer_structure" in config.open:
        structure = before.layer_structure if before else usual_structure(streams)
        same = len(structure) == len(wanted.layer_structure)
        dropout = wanted.dropout_structure if same else ()
        wanted = replace(wanted, layer_structure=structure, dropout_structure=dropout)
    if before:
        places = places or tuple(dict(before.places))
        if "widths" in config.open:
            wanted = replace(wanted, widths=before.widths)
    if "weight_initialization" in config.open:
        begins = before.weight_initialization if before else chosen_initialization(preset, wanted)
        wanted = replace(wanted, weight_initialization=begins)
    every_width = "widths" in config.open and not before
    return fitted(
        wanted, streams, every_width=every_width, chosen=places, groups=config.groups,
        architecture=compat.architecture(model),
    )  # fmt: skip


def spec_of(
    streams: Streams, structure: str, dropout: str, widths: str,
    *, weight_initialization: str, **settings,
) -> HypernetSpec:  # fmt: skip
    """The spec that the widgets' texts describe. Raises ValueError quoting what is wrong.

    An initialization that is left to the preset counts as Normal here, see chosen_spec.
    """
    layers = read_structure(structure, usual_structure(streams))
    begins = weight_initialization
    return HypernetSpec(
        widths=read_widths(widths) or widths_of(streams),
        layer_structure=layers,
        dropout_structure=parse_dropout(dropout, len(layers)),
        weight_initialization=NORMAL if begins == AUTO else begins,
        **settings,
    )


def read_structure(text: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    """The structure in a text, or the usual one. Raises ValueError quoting the text."""
    return usual if text.strip().lower() == AUTO else parse_structure(text)
