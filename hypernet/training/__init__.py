"""Trains a network: the loop, its settings, schedules and optimizers, and what watches over it."""
