"""Folders of pictures: reading and measuring them, pairing captions and masks, preparing a
training folder, and showing what is in it."""
