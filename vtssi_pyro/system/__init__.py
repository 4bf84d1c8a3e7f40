"""Atomic files, checkpoints, and the machine."""
