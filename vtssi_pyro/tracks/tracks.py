"""The tracks of any tracker; how they are joined, cut and moved."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:  # the modules below make tables of tracks, and the packages are extras
    import pandas
    import xarray

    from vtssi_pyro.tracks.columns import Origin
    from vtssi_pyro.tracks.units import Units

EVERY = slice(None)


class Tracks(NamedTuple):
    """Objects by sequence and frame, in pixels: all that evaluation, export and pictures see of a tracker.

    A slot is one identity throughout its sequence, so there may be more slots than objects at once. Unknown values, and
    those of absent objects, are NaN. The truth of a data set has this form, too.

    Example:
        >>> import torch
        >>> from vtssi_pyro import Tracks
        >>> position = torch.tensor([[[[5.0, 5.0]], [[6.0, 5.5]]]])  # one sequence, two frames, one object
        >>> tracks = Tracks(position, torch.ones(1, 2, 1, dtype=torch.bool))
        >>> tracks.part(frames=slice(1)).position.shape
        torch.Size([1, 1, 1, 2])
    """

    position: Tensor  # (B, T, N, 2) centre of the box (x, y); NaN where there is no object
    present: Tensor  # (B, T, N) bool
    box: Tensor | None = None  # (B, T, N, 2) width and height: tight, unless the tracker says otherwise
    scale: Tensor | None = None  # (B, T, N, 2) standard deviation of the position
    confidence: Tensor | None = None  # (B, T, N) in [0, 1]; in predicted frames that of being there, or NaN
    samples: Tensor | None = None  # (S, B, T, N, 2) sampled positions, of every slot
    visible: Tensor | None = None  # (B, T, N) share of the object that the frame shows, in [0, 1]
    depth: Tensor | None = None  # (B, T, N) the smaller, the nearer
    angle: Tensor | None = None  # (B, T, N) radians, from x towards y

    def mapped(self, change: Callable[[Tensor, int], Tensor]) -> "Tracks":
        """Change every known field.

        Args:
            change: makes a field of a field's values and the axis of their sequences, 0, or 1 behind that of samples;
                the axes of frames and slots follow it.
        """
        return Tracks._make(
            None if values is None else change(values, int(name == "samples"))
            for name, values in self._asdict().items()
        )

    def cpu(self) -> "Tracks":
        """Copy the tracks to the memory of the CPU."""
        return self.mapped(lambda values, _: values.cpu())

    def part(self, sequences: slice | list[int] = EVERY, frames: slice = EVERY) -> "Tracks":
        """Cut out the tracks of some sequences in some frames; both axes stay."""
        return self.mapped(lambda values, axis: values[(*(EVERY,) * axis, sequences, frames)])

    def widened(self, number: int) -> "Tracks":
        """Add empty slots, up to a number."""
        more = number - self.present.shape[2]
        if not more:
            return self

        def wide(values: Tensor, axis: int) -> Tensor:
            shape = [*values.shape[: axis + 2], more, *values.shape[axis + 3 :]]
            return torch.cat([values, values.new_full(shape, unknown(values))], axis + 2)

        return self.mapped(wide)

    def begun(self) -> "Tracks":
        """Leave out what precedes the first frame that shows anything of an object: its place there is a guess."""
        if self.confidence is None:
            return self
        guessed = (self.confidence <= 0).int().cumprod(1).bool()  # not where confidences are unknown

        def kept(values: Tensor, axis: int) -> Tensor:
            if axis:  # samples are of every slot
                return values
            axes = (1,) * (values.dim() - guessed.dim())
            return values.masked_fill(guessed.view(*guessed.shape, *axes), unknown(values))

        return self.mapped(kept)

    def moved(self, points: Callable[[np.ndarray], np.ndarray], ratio: np.ndarray) -> "Tracks":
        """Convert the tracks to other pixels, on the CPU.

        Args:
            points: maps points (..., 2), x and y in these pixels, to points in the other pixels.
            ratio: (2,) other pixels for one of these along x and y: factors on boxes and on standard deviations.
        """

        def point(values: Tensor | None) -> Tensor | None:
            return (
                None if values is None else torch.as_tensor(points(values.cpu().numpy()), dtype=values.dtype)
            )

        def length(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.cpu() * torch.as_tensor(ratio, dtype=values.dtype)

        position = point(self.position)
        assert position is not None
        return self._replace(
            position=position, box=length(self.box), scale=length(self.scale), samples=point(self.samples)
        )

    def _repr_html_(self) -> str:
        """As a notebook shows tracks."""
        from vtssi_pyro.tracks.notebook import html

        return html(self)

    def to_dataframe(self, units: "Units | None" = None, origin: "Origin" = "corner") -> "pandas.DataFrame":
        """Make a table with one row for each object and frame in which it is present.

        Its columns are those of ``tracks.csv``: ``sequence``, ``frame`` and ``particle`` count from 0; ``x``, ``y``,
        ``size`` and the others are described in ``docs/results.md`` and :data:`~vtssi_pyro.tracks.columns.QUANTITIES`.
        Names that trackpy has mean the same here.

        Args:
            units: known units; each length, speed and time has a further column in them, such as ``x_um``, ``time``.
            origin: where (0, 0) is. ``corner``, as everywhere in this package and in ``tracks.csv``: at the frame's
                corner, so that the centre of the top-left pixel is (0.5, 0.5). ``centre``: at that centre, as trackpy,
                napari, scikit-image and matplotlib's ``imshow`` expect; half a pixel less in x and y.

        Raises:
            UsageError: pandas is not installed (extra ``tables``).
        """
        from vtssi_pyro.tracks.dataframe import to_dataframe

        return to_dataframe(self, units, origin)

    @classmethod
    def from_dataframe(cls, table: "pandas.DataFrame", origin: "Origin | None" = None) -> "Tracks":
        """Take tracks out of a table of this or another program, such as trackpy's.

        Columns are those of ``tracks.csv``: ``frame``, ``particle`` (or ``object``, ``track``, ``track_id``, ``id``),
        ``x`` and ``y`` are needed, px; others that :meth:`to_dataframe` makes of a track's state are read, the rest is
        passed over.

        Args:
            table: one row for each object and frame.
            origin: where its (0, 0) is, see :meth:`to_dataframe`: of trackpy's tables and napari's ``centre``. None: as
                a table of :meth:`to_dataframe` tells, else ``corner``.

        Returns:
            Tracks (B, T, N, 2), px from the frame's corner.

        Raises:
            DataError: a column is missing, or a value is none.

        Example:
            >>> import pandas
            >>> from vtssi_pyro import Tracks
            >>> linked = pandas.DataFrame({"frame": [0, 1], "particle": [7, 7], "x": [3.0, 4.0], "y": [5.0, 5.0]})
            >>> Tracks.from_dataframe(linked, origin="centre").position[0, :, 0].tolist()
            [[3.5, 5.5], [4.5, 5.5]]
        """
        from vtssi_pyro.tracks.dataframe import from_dataframe

        return from_dataframe(table, origin)

    def to_xarray(self, units: "Units | None" = None, origin: "Origin" = "corner") -> "xarray.Dataset":
        """Make a data set with the dimensions ``sequence``, ``frame`` and ``particle``; NaN where an object is absent.

        Its variables are the known columns of :meth:`to_dataframe`, with units, and ``present``; samples are
        ``x_samples`` and ``y_samples``, with a dimension ``draw`` in front.

        Args:
            units: see :meth:`to_dataframe`.
            origin: see :meth:`to_dataframe`.

        Raises:
            UsageError: xarray is not installed (extra ``tables``).
        """
        from vtssi_pyro.tracks.dataframe import to_xarray

        return to_xarray(self, units, origin)

    def summary(self, units: "Units | None" = None) -> "pandas.DataFrame":
        """Make a table with one row for each track: its length, share seen, mean confidence and mean speed.

        Columns: ``sequence``, ``particle``; ``first`` and ``last`` frame, and ``frames``, the number in which it is
        present; ``seen``, the share of frames from the first to the last with a confidence of 0.5 or more; mean
        ``confidence`` and ``speed`` (px a frame); ``path``, the length of its way, and ``distance``, from its first
        place to its last (px).

        Args:
            units: known units; speed, path and distance have further columns in them.

        Raises:
            UsageError: pandas is not installed (extra ``tables``).
        """
        from vtssi_pyro.tracks.dataframe import to_summary

        return to_summary(self, units)

    def to_arviz(
        self, observed: int | None = None, chains: int | None = None, origin: "Origin" = "corner"
    ) -> Any:
        """Make ArviZ data of the samples: ``posterior`` of observed frames, ``predictions`` of later ones.

        Variables ``x`` and ``y``, px, have the dimensions ``chain``, ``draw``, ``sequence``, ``frame`` and
        ``particle``. Draws are independent, not of a Markov chain, so that any split of them into chains is one.

        Args:
            observed: number of observed frames; None: all.
            chains: number of chains, a divisor of the number of draws; None: 4, 2 or 1.
            origin: see :meth:`to_dataframe`.

        Returns:
            an ``arviz.InferenceData``, from ArviZ 1.0 on an ``xarray.DataTree``.

        Raises:
            DataError: the tracks have no samples.
            UsageError: ArviZ is not installed (extra ``arviz``), or draws cannot be dealt evenly.
        """
        from vtssi_pyro.tracks.dataframe import to_arviz

        return to_arviz(self, observed, chains, origin)


def unknown(values: Tensor) -> float:
    """The value of a field of tracks where there is no object: false or NaN."""
    return False if values.dtype == torch.bool else torch.nan


def concatenated(parts: Sequence[Tracks], axis: int = 0) -> Tracks:
    """Join tracks one after another, along sequences (axis 0) or frames (axis 1); the most slots of any decide."""
    number = max(part.present.shape[2] for part in parts)
    parts = [part.widened(number) for part in parts]
    columns = zip(Tracks._fields, zip(*parts, strict=True), strict=True)
    return Tracks._make(
        None if c[0] is None else torch.cat(c, axis + (name == "samples")) for name, c in columns
    )


def as_array(values: Tensor) -> np.ndarray:
    """Values of tracks, on any device, as an array of float64."""
    return values.detach().cpu().double().numpy()
