"""Tools for finished networks: merge, convert, compare, report, estimate sizes, draw."""
