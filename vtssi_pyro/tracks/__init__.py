"""Tracks: their type, their assignment to the truth, and the files that hold them."""
