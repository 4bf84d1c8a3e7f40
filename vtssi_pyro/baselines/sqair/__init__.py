"""SQAIR (Kosiorek et al. 2018) in Pyro."""
