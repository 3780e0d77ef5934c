"""The server behind `hypernet serve`: the editor's files, prompts, clients."""
