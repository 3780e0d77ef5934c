"""A training run's folder: state, manifest, history, plots, fingerprints."""
