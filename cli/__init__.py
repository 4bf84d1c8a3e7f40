"""The command line ``vtssi-pyro``; installed as ``vtssi_pyro.cli``."""
