"""Choices as data: kinds, schedules, and configurations to and from plain values."""

from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.config.serial import from_dict, override, to_dict

__all__ = ["Kinds", "from_dict", "override", "to_dict"]
