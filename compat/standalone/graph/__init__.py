"""Graphs in the stand-in host: node classes, workflow files, validation, execution."""
