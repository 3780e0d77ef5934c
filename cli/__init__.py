"""The command `hypernet`: run workflows, serve the graph editor, and convert, merge or describe
network files."""
