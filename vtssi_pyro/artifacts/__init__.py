"""The artifacts of a training: runs, weights that ship, reports."""
