"""Nodes that configure and train a network.

Train Hypernet reads its inputs (asked.py), decides what to do (plan.py, names/naming.py), and does
it (carry_out.py, session.py). Hypernet Config, Learning Rate and its range test are here too.
"""
