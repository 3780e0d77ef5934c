"""The command `hypernet`: run and serve workflows, and work on files without a graph."""
