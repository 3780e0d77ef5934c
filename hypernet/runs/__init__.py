"""A run's folder: its manifest, states, log and fingerprints, and what lies under a name."""
