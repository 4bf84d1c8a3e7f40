"""``python -m vtssi_pyro`` is ``vtssi-pyro``."""

import runpy

runpy.run_module("vtssi_pyro.cli", run_name="__main__", alter_sys=True)
