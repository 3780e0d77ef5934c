"""Previews while a network is trained.

settings.py reads what they show, drawing.py draws them, and grid.py puts all of them together.
"""
