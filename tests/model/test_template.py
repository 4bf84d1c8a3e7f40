"""The side of the template, which follows from the frame unless a configuration holds a number."""

import json
from dataclasses import replace

import pytest

from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.tracker import build


@pytest.mark.parametrize("finder", [TemplateConfig(), FollowingConfig()])
@pytest.mark.parametrize(("frame_size", "side"), [(50, 15), (64, 19), (100, 31)])
def test_a_template_takes_its_share_of_the_frame(finder: TemplateConfig, frame_size: int, side: int) -> None:
    config = ModelConfig(frame_size=frame_size, finder=finder)
    assert build(config).finder.kernel_side == side
    assert from_dict(json.loads(json.dumps(to_dict(config))), ModelConfig) == config


def test_a_number_in_a_file_stays() -> None:
    plain = {"frame_size": 64, "finder": {"kind": "template", "kernel_side": 15}}
    config = from_dict(plain, ModelConfig)
    assert config.finder == TemplateConfig(kernel_side=15)
    assert build(config).finder.kernel_side == 15


def test_a_template_has_a_centre() -> None:
    with pytest.raises(UsageError, match="odd"):
        build(replace(ModelConfig(), finder=TemplateConfig(kernel_side=14)))
