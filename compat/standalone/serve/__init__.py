"""The server behind `hypernet serve`: it delivers the graph editor's files, queues and runs
prompts, and sends events to open editors."""
