"""What a network does to a model: attention patches, folding, LoRA files, prompt tags."""
