"""Nodes that turn a folder of pictures into a dataset with training words.

Load Dataset, Prepare Dataset, Save Prepared Folder, Caption and Training Words.
"""
