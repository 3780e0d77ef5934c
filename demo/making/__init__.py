"""How the demo's model and its judges were trained."""
