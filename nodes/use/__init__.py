"""Nodes that use networks: load, save, apply, inspect, compare, convert, merge and fold them.

load_save.py also finds network files and names for the other nodes.
"""
