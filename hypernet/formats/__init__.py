"""File formats: networks as A1111's .pt, .safetensors and .hns, optimizer states as .optim,
and the check that refuses dangerous pickles."""
