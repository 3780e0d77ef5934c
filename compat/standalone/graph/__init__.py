"""Graphs in the stand-in host: the node classes, reading workflow files, validating them and
executing them."""
