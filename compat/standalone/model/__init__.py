"""Models in the stand-in host: loading, text encoding, sampling, LoRAs, block names."""
