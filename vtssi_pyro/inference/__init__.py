"""What is read off frames at test time."""
