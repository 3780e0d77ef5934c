"""ComfyUI's models as Denoisers for training.

denoiser       opens a model, whatever its architecture
frozen_model   what all of them share: loading, lent weights, interrupts
unet           UNets, with attention patches
transformer    all others, changed at the sites of a census
inputs         their inputs, as the host itself makes them of a conditioning
gradients      where their forward pass has no backward pass, and what is done about it
"""

from .denoiser import denoiser, prediction

__all__ = ["denoiser", "prediction"]
