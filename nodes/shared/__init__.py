"""What several nodes use: sockets, cache, progress, the demo model."""
