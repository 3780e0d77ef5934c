"""ComfyUI behind the contract. Nothing else in the pack imports from ComfyUI."""
