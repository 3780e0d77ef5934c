"""Models that caption pictures, and their remembered answers."""
