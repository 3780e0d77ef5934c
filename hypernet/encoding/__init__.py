"""Encoding pictures into latents and prompts into conditioning, once; the results are kept on
disk, and memory is freed when the models that made them are no longer needed."""
