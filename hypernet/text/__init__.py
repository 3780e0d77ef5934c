"""Text as people type and save it: reading numbers and lists, matching names, and finding the
encoding of text files."""
