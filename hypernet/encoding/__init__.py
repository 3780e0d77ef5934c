"""Latents and prompts, encoded once and kept on disk."""
