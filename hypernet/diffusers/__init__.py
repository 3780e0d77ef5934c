"""Hypernetworks in your own script, on a diffusers pipeline:

    with hypernet.diffusers.apply(pipeline, network, 0.8):
        picture = pipeline("a cat").images[0]

The network changes the input of keys and values in every attention layer of a UNet or transformer,
whatever attention processor the pipeline uses. Blocks can be nested; the outer network acts first.
`train` trains a network on a pipeline; `spec_for` says which one suits it. Importing this package
does not import diffusers.
"""

from .hooks import apply
from .training import Training, every_width, spec_for, train

__all__ = ["Training", "apply", "every_width", "spec_for", "train"]
