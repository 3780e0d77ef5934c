"""Network files: A1111's .pt, .safetensors, .hns, .optim, and what is refused."""
