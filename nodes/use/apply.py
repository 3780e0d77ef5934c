"""ApplyHypernet: patches a model so that the network acts on it while it generates."""

import logging

from hypernet.apply.effect import (
    EXACT,
    PRECISIONS,
    PROMPTS,
    Effect,
    make_schedule,
    parse_strength_curve,
    parse_widths,
)
from hypernet.apply.fit import check_fit
from hypernet.network.spec import listed

from ... import compat
from ...compat import Faults, io, ui
from ..shared.sockets import CATEGORY, HypernetSocket

log = logging.getLogger(__name__)

AS_TRAINED = -1.0  # a start_percent
LIMIT = 10.0  # strengths are from −LIMIT to LIMIT


class ApplyHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetApply",
            display_name="Apply Hypernet",
            category=CATEGORY,
            description="Lets a hypernetwork act on the model while it generates. Chain several; "
            "they act in the order of the chain.",
            search_aliases=["hypernetwork loader", "use hypernetwork", "style", "strength"],
            inputs=[
                io.Model.Input("model", tooltip="The model to generate with."),
                HypernetSocket.Input("hypernet", tooltip="From Train or Load Hypernet."),
                io.Float.Input(
                    "strength", default=1.0, min=-LIMIT, max=LIMIT, step=0.01,
                    tooltip="Factor on what the network adds: 1 as trained, 0 off, negative "
                    "away from it.",
                ),
                io.Float.Input(
                    "strength_k", default=1.0, min=-LIMIT, max=LIMIT, step=0.01,
                    optional=True, advanced=True,
                    tooltip="Another factor, on keys alone: where the model looks.",
                ),
                io.Float.Input(
                    "strength_v", default=1.0, min=-LIMIT, max=LIMIT, step=0.01,
                    optional=True, advanced=True,
                    tooltip="Another factor, on values alone: what it takes from there.",
                ),
                io.String.Input(
                    "width_factors", default="", optional=True, advanced=True,
                    tooltip="Factors of single widths, such as 768: 0.5, 320: 0. In SD 1 768 is "
                    "the text, 320 fine and 1280 coarse parts of the picture. Others have 1.",
                ),
                io.Float.Input(
                    "start_percent", default=AS_TRAINED, min=AS_TRAINED, max=1.0, step=0.01,
                    optional=True, advanced=True,
                    tooltip="Part of the way from noise (0) to picture (1) before which the "
                    "network does nothing. -1: as its training recorded, 0 if it did not.",
                ),
                io.Float.Input(
                    "end_percent", default=1.0, min=0.0, max=1.0, step=0.01,
                    optional=True, advanced=True,
                    tooltip="Part of the way from noise (0) to picture (1) after which the "
                    "network does nothing.",
                ),
                io.String.Input(
                    "curve", default="", optional=True, advanced=True,
                    tooltip="Factors along that way, such as 0: 1, 0.5: 0.3, 1: 0, even in "
                    "between. Empty: as its training recorded, 1 all the way if it did not.",
                ),
                io.Combo.Input(
                    "applies_to", options=list(PROMPTS), default=PROMPTS[0],
                    optional=True, advanced=True,
                    tooltip="Which prompt's half of each step the network changes.",
                ),
                io.Combo.Input(
                    "precision", options=list(PRECISIONS), default=EXACT,
                    optional=True, advanced=True,
                    tooltip="exact: the network computes in float32, as in A1111. as the model: in "
                    "the model's 16 bits, which is faster and takes half the memory. Networks for "
                    "transformers always do.",
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls,
        width_factors: str | None = None,
        start_percent: float | None = None,
        end_percent: float | None = None,
        curve: str | None = None,
    ) -> bool | str:
        """A value that comes from another node is None here; execute checks it."""
        faults = Faults()
        with faults.of("width_factors"):
            parse_widths(width_factors or "")
        with faults.of("start_percent" if end_percent is None else "end_percent"):
            start = 0.0 if start_percent in (None, AS_TRAINED) else start_percent
            if start < 0:
                raise ValueError(
                    f"start_percent {start:g}: give 0 to 1, or {AS_TRAINED:g} for what the "
                    "training recorded."
                )
            make_schedule(float, start, 1.0 if end_percent is None else end_percent)
        with faults.of("curve"):
            parse_strength_curve(curve or "")
        return faults.answer()

    @classmethod
    def execute(
        cls, model, hypernet, strength: float, strength_k: float = 1.0, strength_v: float = 1.0,
        width_factors: str = "", start_percent: float = AS_TRAINED, end_percent: float = 1.0,
        curve: str = "", applies_to: str = PROMPTS[0], precision: str = EXACT,
    ) -> io.NodeOutput:  # fmt: skip
        sampling = model.get_model_object("model_sampling")
        start = hypernet.record.start if start_percent == AS_TRAINED else start_percent
        effect = Effect(
            strength=strength,
            keys=strength_k,
            values=strength_v,
            widths=held_widths(hypernet, width_factors),
            schedule=make_schedule(
                sampling.percent_to_sigma,
                start,
                end_percent,
                parse_strength_curve(curve or hypernet.record.curve),
            ),
            prompts=applies_to,
        )
        if effect.does_nothing(hypernet.spec.widths):
            return io.NodeOutput(model)
        warning = check_fit(hypernet, compat.attention_widths(model), compat.architecture(model))
        if warning:
            log.warning(warning)
        patched = compat.with_network(model, hypernet, effect, precision)
        return io.NodeOutput(patched, ui=ui.PreviewText(warning) if warning else None)


def held_widths(hypernet, text: str) -> tuple[tuple[int, float], ...]:
    """(width, factor) pairs from a text. Raises ValueError for widths the network does not have."""
    factors = parse_widths(text)
    held = hypernet.spec.widths
    missing = [width for width, _ in factors if width not in held]
    if missing:
        raise ValueError(
            f'Factors "{text}": the hypernetwork "{hypernet.record.name}" has no width '
            f"{listed(missing)}; it holds {listed(held)}."
        )
    return factors
