"""Checks of the image and of a GPU host."""
