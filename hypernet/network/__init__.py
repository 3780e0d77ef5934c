"""The hypernetwork itself: the spec of its structure, the names of activations and
initialisations, and the torch modules."""
