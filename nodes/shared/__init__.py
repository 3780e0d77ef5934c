"""What several nodes need: sockets, the cache folder, progress, checks of typed text.

The Load Demo Model node is here too.
"""
