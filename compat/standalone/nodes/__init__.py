"""ComfyUI's core nodes that the stand-in host has."""
