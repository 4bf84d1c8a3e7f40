"""The size of pixels and the pace of frames are said as a whole; what files note of them is in the tests of formats."""

import pytest

from vtssi_pyro import Stored
from vtssi_pyro.errors import UsageError


def test_half_a_length_is_refused() -> None:
    with pytest.raises(UsageError, match="pixel_size: means nothing alone"):
        Stored(pixel_size=0.1)
    with pytest.raises(UsageError, match="unit: means nothing alone"):
        Stored(unit="um")
