"""Files that are written whole or not at all, and what the machine has."""
