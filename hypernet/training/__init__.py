"""Trains a network: the loop, its settings, schedules and optimizers, and checks of its health."""
