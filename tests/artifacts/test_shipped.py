"""Whatever weights ship are whole, and track digits that no training has seen."""

import hashlib
import os

import pytest
import torch

from vtssi_pyro import judge, load_digits, moving_digits
from vtssi_pyro.artifacts.packing import LARGEST
from vtssi_pyro.artifacts.shipped import FOLDER, Pretrained, available
from vtssi_pyro.data import FLAVOURS

NONE = pytest.param("", marks=pytest.mark.skip(reason="no weights ship with this version"))
SHIPPED = pytest.mark.parametrize("name", available() or [NONE])


@SHIPPED
def test_files_are_what_their_card_says(name: str) -> None:
    weights, card = FOLDER / f"{name}.safetensors", Pretrained(name).card
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card.sha256
    assert weights.stat().st_size <= LARGEST
    assert all((card.description, card.data, card.licence, card.machine, card.commit, card.metrics))
    assert card.observe == Pretrained(name).config.observe
    assert not any(word in (FOLDER / f"{name}.json").read_text() for word in ("/home/", "/tmp/", "/root/"))


def test_no_file_is_without_its_other_half() -> None:
    """Nothing else is shipped by mistake."""
    files = {path.name for path in FOLDER.glob("*")}
    assert files == {f"{name}.{suffix}" for name in available() for suffix in ("json", "safetensors")}


@SHIPPED
def test_half_precision_costs_nothing(name: str) -> None:
    metrics = Pretrained(name).card.metrics
    full, *_, half = [metrics["float32"], *metrics.values()]  # the last is of what ships
    assert half["count_accuracy"] == pytest.approx(full["count_accuracy"], abs=0.005)
    assert half["inference_error"] == pytest.approx(full["inference_error"], rel=0.02)


@pytest.mark.slow
@SHIPPED
def test_digits_that_no_training_has_seen(name: str) -> None:
    """Sensibly; and where the card's digits are at hand, as well as it says, by a smaller sample."""
    torch.manual_seed(0)
    shipped = Pretrained(name)
    config, (*_, claimed) = shipped.config, shipped.card.metrics.values()
    same = config.data.digits == "embedded" or bool(os.environ.get("VTSSI_MNIST"))
    if config.data.source not in FLAVOURS:
        pytest.skip(f"{name}: learned from a file, not from digits")
    digits = load_digits(config.data.digits if same else "embedded", "test")
    model = config.model
    test = moving_digits(
        config.data.source, digits, sequences=100, seed=99, frame_size=model.frame_size,
        objects=model.num_objects, blend=config.data.blend,
    )  # fmt: skip
    found = judge(shipped.tracker(), test, shipped.card.observe)
    assert found.count_accuracy is not None
    assert found.inference_error is not None
    assert found.inference_error_median is not None
    assert found.count_accuracy >= 0.8
    # the median, since an object that is beyond a wall may be anywhere there
    assert found.inference_error_median <= 0.1 * model.frame_size
    if same:
        assert found.count_accuracy >= claimed["count_accuracy"] - 0.05
        assert found.inference_error <= 1.3 * claimed["inference_error"] + 0.2
