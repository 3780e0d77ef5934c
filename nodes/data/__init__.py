"""Nodes that bring in pictures and words."""
