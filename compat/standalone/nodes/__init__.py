"""The core nodes that the stand-in host knows."""
