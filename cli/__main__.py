"""``python -m vtssi_pyro.cli``."""

from .main import main

main(prog_name="vtssi-pyro")
