"""Inference of tracks from frames at test time."""
