"""Choices as data: kinds, schedules, and configurations to and from plain values."""

from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.config.serial import absent, from_dict, not_finite, override, to_dict

__all__ = ["Kinds", "absent", "from_dict", "not_finite", "override", "to_dict"]
