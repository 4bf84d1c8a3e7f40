"""The list of the files that the package has written to a folder: these, and no others, it removes."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from vtssi_pyro.errors import UsageError
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.files import belongs, regular, sweep
from vtssi_pyro.system.fingerprint import sha256
from vtssi_pyro.system.plain import parsed

FILE = ".vtssi-pyro.json"  # in the folder itself


class Manifest:
    """The files and folders that were written below a folder, by name, and each file's SHA-256.

    As a context: at its end the files of an earlier call that were not written anew are removed, unless they have
    changed since. All that is not listed stays, whatever its name.

    Args:
        root: the folder; made if it is missing.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        self._files: dict[str, str] = {}
        self._made: list[str] = []  # folders
        self._used: set[str] = set()  # folders that were there, too

    def folder(self, name: str, *patterns: str) -> Path:
        """Make a folder below the root, and sweep it; see :func:`~vtssi_pyro.system.files.sweep`.

        Args:
            name: its path below the root, with slashes; an empty one is the root.
            patterns: names of the files that will be written to it.
        """
        path = self._root
        for part in ("", *filter(None, name.split("/"))):
            path = path / part
            try:
                path.mkdir(parents=path == self._root)
            except FileExistsError:
                if not path.is_dir():
                    raise UsageError(f"{path}: is no folder; move it away, or choose another") from None
            except OSError as error:
                raise UsageError(f"{path}: cannot be made ({error.strerror}); choose another") from error
            else:
                self._made += [self._name(path)] if path != self._root else []
            self._used.add(self._name(path))
        sweep(path, *patterns)
        return path

    def wrote(self, path: Path) -> None:
        """List a file that is complete."""
        self._files[self._name(path)] = sha256(path)

    def __enter__(self) -> "Manifest":
        self.folder("", FILE)
        self._former = self._read()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        files, folders = self._former
        if error is None:
            for name, digest in files.items():
                self._remove(name, digest)
            files, folders = {}, [name for name in folders if not self._emptied(name)]
        listed = {"files": {**files, **self._files}, "folders": sorted({*folders, *self._made})}
        with suppress(*((UsageError,) if error is not None else ())):
            write_json(self._root / FILE, listed)

    def _remove(self, name: str, digest: str) -> None:
        """Remove a file of an earlier call, unless it was written anew, has changed, or is elsewhere."""
        path = self._root / name
        if name not in self._files and belongs(path, self._root) and sha256(path) == digest:
            with suppress(OSError):
                path.unlink()

    def _emptied(self, name: str) -> bool:
        """Remove an empty folder of an earlier call, unless this call uses it; whether it is gone."""
        if name in self._used:
            return False
        path = self._root / name
        if path.resolve() != self._root.resolve() / name:
            return True  # a link leads elsewhere
        with suppress(OSError):  # something is in it
            path.rmdir()
        return not path.exists()

    def _read(self) -> tuple[dict[str, str], list[str]]:
        """Read the list of the earlier calls; nothing is known by a damaged one, so that nothing is removed by it."""
        try:
            found: Any = parsed(regular(self._root / FILE).read_text())
            files = {str(name): str(digest) for name, digest in found["files"].items()}
            # the deepest first, so that a folder is empty when its turn comes
            folders = sorted(map(str, found["folders"]), key=lambda name: -name.count("/"))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}, []
        own = {name for name in (*files, *folders) if not {"", ".", ".."} & set(name.split("/"))}
        return {n: d for n, d in files.items() if n in own}, [n for n in folders if n in own]

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
