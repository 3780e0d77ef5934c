"""What people type and write: numbers, lists, names, and how text files are encoded."""
