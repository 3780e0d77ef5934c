"""Scripts that made the demo: they choose its pictures and train its model and judges."""
