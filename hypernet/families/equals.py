"""May a network that was trained for one architecture act on another?

Equal widths say nothing: Flux.1, Qwen-Image and FLUX.2 klein 4B are all 3072 wide and have nothing
else in common. Only models of which one was made from the other understand each other's networks.
"""

from __future__ import annotations

# Anima was made from Cosmos Predict2, whose class diffusers uses for both: it cannot tell them.
SAME = ({"cosmos_predict2", "anima"},)
# Chroma was made from Flux.1 schnell, but its blocks are modulated in another way.
ALIKE = ({"flux", "chroma"},)
UNETS = ("", "unet")
# A file of Stable Diffusion's kind that acts here may have been trained here, by an older version.
OLD_FILES = ("cosmos_predict2", "anima")


def misfit(trained_for: str, architecture: str) -> str:
    """A warning if a network of one architecture acts on a model of another; "" if it fits.

    trained_for is "" for networks of UNets and for older files, which all have no architecture.
    Raises ValueError if the network can mean nothing there.
    """
    if trained_for == architecture or {trained_for, architecture} <= set(UNETS):
        return ""
    pair = {trained_for, architecture}
    if any(pair <= group for group in SAME):
        return ""
    if any(pair <= group for group in ALIKE):
        return (
            f"The network was trained for {trained_for} and acts on {architecture}, which is "
            "related. Expect a weaker or a different effect."
        )
    if trained_for in UNETS and architecture in OLD_FILES:
        return (
            "The network's file does not say for which model it was trained. If it was Stable "
            f"Diffusion, it does not fit {architecture}."
        )
    if trained_for in UNETS:
        raise ValueError(
            "this network was trained for Stable Diffusion's UNets and the model is "
            f"{architecture}. It would act on layers that it has never seen."
        )
    if architecture in UNETS:
        raise ValueError(
            f"this network was trained for {trained_for} and the model is a UNet, as Stable "
            "Diffusion's are. It would act on layers that it has never seen."
        )
    raise ValueError(
        f"this network was trained for {trained_for} and the model is {architecture}. It would "
        "act on layers that it has never seen."
    )
