"""Applying networks to a model: attention patches, folding into weights, LoRA files, prompt
tags."""
