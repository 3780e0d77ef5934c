"""ApplyHypernet: a model that draws what the network has learnt."""

from ..compat import attention_widths, io
from ..hypernet.attention import HypernetPatch
from ..hypernet.spec import as_text
from .sockets import CATEGORY, HypernetSocket


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
                    "strength", default=1.0, min=-10.0, max=10.0, step=0.01,
                    tooltip="Factor on what the network adds: 1 as trained, 0 off, negative "
                    "away from it.",
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model")],
        )  # fmt: skip

    @classmethod
    def execute(cls, model, hypernet, strength: float) -> io.NodeOutput:
        if strength == 0:
            return io.NodeOutput(model)
        check_fit(hypernet, attention_widths(model))
        patched = model.clone()
        patched.set_model_attn1_patch(HypernetPatch(hypernet, strength))
        patched.set_model_attn2_patch(HypernetPatch(hypernet, strength))
        return io.NodeOutput(patched)


def check_fit(hypernet, widths: dict[str, tuple[int, ...]]) -> None:
    """Raise ValueError with both lists when the network and the model share no width."""
    wanted = {width for kind in widths.values() for width in kind}
    held = set(hypernet.spec.widths)
    if not held & wanted:
        raise ValueError(
            f'The hypernetwork "{hypernet.record.name}" was trained for widths '
            f"{as_text(sorted(held))}; this model has {as_text(sorted(wanted)) or 'none'}. "
            "Use the kind of model it was trained on."
        )
