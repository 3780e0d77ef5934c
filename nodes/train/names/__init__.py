"""A run's name: which one it gets, what it begins with, and who else wants it.

naming.py decides, by what search.py finds on the disk, lock.py holds and queue.py waits for.
"""
