"""What files may be read, replaced and removed; checkpoints; the process and the machine."""
