"""Choices as data: kinds, schedules, declarations, and configurations to and from plain values."""

from vtssi_pyro.config.declared import Declared, OneOf, Range, Text, checked
from vtssi_pyro.config.describing import Key
from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.config.records import Complete, refuse_unlike
from vtssi_pyro.config.serial import absent, checked_config, from_dict, not_finite, override, to_dict

__all__ = [
    "Complete",
    "Declared",
    "Key",
    "Kinds",
    "OneOf",
    "Range",
    "Text",
    "absent",
    "checked",
    "checked_config",
    "from_dict",
    "not_finite",
    "override",
    "refuse_unlike",
    "to_dict",
]
