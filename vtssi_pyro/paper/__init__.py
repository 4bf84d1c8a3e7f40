"""What the paper says, and what its tables and figures are made of."""
