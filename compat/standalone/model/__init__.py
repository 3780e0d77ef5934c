"""Models in the stand-in host: loading checkpoints, encoding prompts, sampling, LoRAs, and the
names of a UNet's blocks."""
