"""The demo: a tiny model, pictures to train it on, and judges that measure the result."""
