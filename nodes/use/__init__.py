"""Nodes that load, save, apply and inspect networks."""
