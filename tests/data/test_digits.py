import gc
import gzip
import hashlib
import os
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from vtssi_pyro.data import Sprites, digits, load_digits, mnist
from vtssi_pyro.data.digits import tight
from vtssi_pyro.errors import DataError, UsageError

SPLITS = ("train", "validation", "test")
needs_mnist = pytest.mark.skipif(
    not os.environ.get("VTSSI_MNIST"), reason="set VTSSI_MNIST to a folder with MNIST's IDX files"
)


def assert_tight(sprites: Sprites) -> None:
    """Ink in the first and last row and column of the box, none beyond it."""
    inked = sprites.images > 0
    for axis, extent in ((1, sprites.sizes[:, 0]), (2, sprites.sizes[:, 1])):
        ink = inked.any(axis)  # (num, 28)
        assert ink[:, 0].all()
        assert ink.gather(1, extent[:, None] - 1).all()
        assert not (ink & (torch.arange(28) >= extent[:, None])).any()


def assert_disjoint(splits: list[Sprites]) -> None:
    digests = [{hashlib.sha256(image.numpy().tobytes()).digest() for image in s.images} for s in splits]
    assert sum(map(len, digests)) == len(set().union(*digests)), "an image lies in two splits"


def test_embedded_splits_are_disjoint_thirds(embedded: dict[str, Sprites]) -> None:
    assert [len(embedded[split].images) for split in SPLITS] == [599, 599, 599]
    assert_disjoint([embedded[split] for split in SPLITS])


def test_embedded_digits_look_like_mnist(embedded: dict[str, Sprites]) -> None:
    """MNIST's digits are 19.7 px tall, 15.7 wide, have 102 px of ink and no grey background."""
    images, sizes, _ = embedded["train"]
    assert images.dtype == torch.uint8
    assert_tight(embedded["train"])
    width, height = sizes.double().mean(0).tolist()
    assert 19 < height <= 20
    assert 12 < width < 17
    assert 85 < (images.double() / 255).sum((1, 2)).mean() < 120
    assert (images == 255).sum() > 0.25 * (images > 0).sum()  # saturated strokes


def test_tight_moves_ink_to_the_corner_and_changes_none_of_it() -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 3:9, 20:28] = np.arange(1, 49).reshape(6, 8)
    images[1, 27, 0] = 7
    sprites = tight(images)  # the third image is empty: left out
    assert sprites.sizes.tolist() == [[8, 6], [1, 1]]
    assert torch.equal(sprites.images[0, :6, :8], torch.from_numpy(images[0, 3:9, 20:28]))
    assert sprites.images[0].sum() == images[0].sum()
    assert sprites.images[1, 0, 0] == 7
    assert_tight(sprites)


@pytest.mark.parametrize(("source", "split"), [("letters", "train"), ("embedded", "dev")])
def test_unknown_names_are_usage_errors(source: str, split: str) -> None:
    with pytest.raises(UsageError, match="expected one of"):
        load_digits(source, split)


@pytest.mark.slow
@needs_mnist
def test_mnist_splits() -> None:
    splits = [load_digits("mnist", split) for split in SPLITS]
    assert [len(s.images) for s in splits] == [55_000, 5_000, 10_000]
    assert_disjoint(splits)
    for sprites in splits:
        assert_tight(sprites)
        assert sprites.sizes.max() <= 20  # MNIST's own normalisation: nothing was resized


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A stand-in for MNIST's test set, three images; its bytes."""
    content = bytes(16) + bytes(range(256)) * 9 + bytes(48)
    name, digest = "t10k-images-idx3-ubyte", hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(mnist.FILES, "test", mnist._File(name, 3, digest))
    monkeypatch.delenv("VTSSI_MNIST", raising=False)
    return content


def test_plain_and_gzipped_files_are_found(
    tiny: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "t10k-images-idx3-ubyte"
    plain.write_bytes(tiny)
    images = mnist.read_mnist("test", tmp_path)
    assert images.tobytes() == tiny[16:]
    plain.unlink()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(tiny))
    monkeypatch.setenv("VTSSI_MNIST", str(tmp_path))
    assert np.array_equal(mnist.read_mnist("test"), images)


@pytest.mark.parametrize("damage", ["flipped", "longer", "shorter", "no gzip", "half a gzip"])
def test_damaged_mnist_says_how_to_mend_it(tiny: bytes, tmp_path: Path, damage: str) -> None:
    packed = {
        "flipped": gzip.compress(tiny[:-1] + b"\1"),
        "longer": gzip.compress(tiny + bytes(10**6)),
        "shorter": gzip.compress(tiny[:-1]),
        "no gzip": tiny,
        "half a gzip": gzip.compress(tiny)[:-20],
    }[damage]
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"by hand.*VTSSI_MNIST") as caught:
        mnist.read_mnist("test", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_mnist_is_named(tiny: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no t10k-images-idx3-ubyte"):
        mnist.read_mnist("test", tmp_path)


def test_download_is_checked_and_thrown_away_when_wrong(
    tiny: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    cached = tmp_path / "cached.gz"
    served = gzip.compress(tiny + b"?")
    addresses = []

    def retrieve(url: str, **_: object) -> str:
        addresses.append(url)
        if not cached.exists():
            cached.write_bytes(served)
        return str(cached)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match="SHA-256"):
        mnist.read_mnist("test")
    assert not cached.exists()
    served = gzip.compress(tiny)
    assert mnist.read_mnist("test").shape == (3, 28, 28)
    assert cached.exists()
    assert addresses[0].endswith("/t10k-images-idx3-ubyte.gz")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "vtssi_pyro"


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # pooch leaves what the server refused to the collector
def test_a_server_that_sends_something_else(
    tiny: bytes, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong is not kept, so that the next call asks again; what is right is asked for once."""
    answers = [
        (200, gzip.compress(tiny[:-1])),
        (200, b"<html>sign in</html>"),
        (404, b""),
        (200, gzip.compress(tiny)),
    ]
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[len(asked)]
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(mnist, "MIRROR", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        for message in ("SHA-256", "cannot read", "cannot download MNIST"):
            with pytest.raises(DataError, match=rf"{message}.*by hand.*embedded digits") as caught:
                mnist.read_mnist("test")
            assert "\n" not in str(caught.value)
            assert not list(own_cache.iterdir())
        assert mnist.read_mnist("test").tobytes() == tiny[16:]
        assert mnist.read_mnist("test").tobytes() == tiny[16:]
    finally:
        server.shutdown()
        server.server_close()
        gc.collect()
    assert asked == ["/t10k-images-idx3-ubyte.gz"] * len(answers)


def test_without_any_network_embedded_digits_go_on(
    tiny: bytes, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", offline)
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    digits._embedded.cache_clear()
    assert len(load_digits("embedded", "test").images) == 599
    with pytest.raises(DataError, match=r"cannot download MNIST.*by hand.*embedded digits"):
        mnist.read_mnist("test")
    assert not list(own_cache.iterdir())


@pytest.mark.parametrize("kind", ["ConnectionError", "ReadTimeout"])
def test_without_a_network_the_error_says_what_to_do(
    kind: str, tiny: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch
    import requests

    def retrieve(*_: object, **__: object) -> str:
        raise getattr(requests.exceptions, kind)("Name or service\nnot known")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match=r"cannot download MNIST.*by hand.*embedded digits") as caught:
        mnist.read_mnist("test")
    assert "\n" not in str(caught.value)
