"""Nodes that configure and train a network."""
