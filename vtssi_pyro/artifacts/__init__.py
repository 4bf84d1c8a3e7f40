"""What is kept of a training: runs, weights that ship, reports."""
