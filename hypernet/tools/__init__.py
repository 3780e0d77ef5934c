"""Work on finished networks: merge, convert, compare, report, estimate, draw."""
