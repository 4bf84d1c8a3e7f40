"""Pure tensor functions: no Pyro, no modules, no state."""
