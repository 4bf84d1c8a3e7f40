"""Tracks as data of other libraries: pandas, xarray and ArviZ, each an extra that is imported here alone."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.system.extras import extra
from vtssi_pyro.tracks.columns import FIRST_PIXEL, INDEX, Origin, dense, table
from vtssi_pyro.tracks.importing import table_rows
from vtssi_pyro.tracks.rows import collected
from vtssi_pyro.tracks.summary import summary_table
from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import NO_UNITS, Units
from vtssi_pyro.version import __version__

if TYPE_CHECKING:
    import pandas
    import xarray

CHAINS = (4, 2, 1)  # numbers of chains among which draws are dealt; diagnostics compare four as a rule


def to_dataframe(tracks: Tracks, units: Units | None = None, origin: Origin = "corner") -> "pandas.DataFrame":
    """See :meth:`vtssi_pyro.Tracks.to_dataframe`."""
    _refuse_other(origin)
    pandas = extra("pandas", "tables", "a DataFrame needs pandas")
    units = units or NO_UNITS
    columns = table(tracks, units, origin)
    made = pandas.DataFrame({column.name: column.values for column in columns})
    made.attrs = _about(units, origin) | {"units": {c.name: c.unit for c in columns if c.unit}}
    return made


def from_dataframe(made: "pandas.DataFrame", origin: Origin | None = None) -> Tracks:
    """See :meth:`vtssi_pyro.Tracks.from_dataframe`."""
    if origin is not None:
        _refuse_other(origin)
    text = io.StringIO(made.to_csv(index=False))
    tracks = collected(table_rows("the DataFrame", text), None, None, first=0)
    here = FIRST_PIXEL["corner"]
    there = FIRST_PIXEL[origin] if origin else float(made.attrs.get("first_pixel", here))
    return tracks._replace(position=tracks.position + (here - there))


def to_summary(tracks: Tracks, units: Units | None = None) -> "pandas.DataFrame":
    """See :meth:`vtssi_pyro.Tracks.summary`."""
    pandas = extra("pandas", "tables", "a DataFrame needs pandas")
    return pandas.DataFrame(summary_table(tracks, units or NO_UNITS))


def to_xarray(tracks: Tracks, units: Units | None = None, origin: Origin = "corner") -> "xarray.Dataset":
    """See :meth:`vtssi_pyro.Tracks.to_xarray`."""
    _refuse_other(origin)
    xarray = extra("xarray", "tables", "a Dataset needs xarray")
    units = units or NO_UNITS
    variables: dict[str, Any] = {"present": (INDEX, tracks.present.cpu().numpy())}
    for name, column in dense(tracks, units, origin).items():
        attributes = {"long_name": column.about} | ({"units": column.unit} if column.unit else {})
        variables[name] = (INDEX, column.values, attributes)
    time = variables.pop("time", None)
    coordinates: dict[str, Any] = {
        name: np.arange(side) for name, side in zip(INDEX, tracks.present.shape, strict=True)
    }
    coordinates["frame"] = units.numbered(coordinates["frame"])
    if time is not None:
        coordinates["time"] = ("frame", units.time(coordinates["frame"]), time[2])
    if tracks.samples is not None:
        drawn = _drawn(tracks, origin)
        coordinates["draw"] = np.arange(len(drawn))
        for axis, name in enumerate("xy"):
            about = {"long_name": f"sampled {name}", "units": "px"}
            variables[f"{name}_samples"] = (("draw", *INDEX), drawn[..., axis], about)
    return xarray.Dataset(variables, coordinates, _about(units, origin))


def to_arviz(
    tracks: Tracks, observed: int | None = None, chains: int | None = None, origin: Origin = "corner"
) -> Any:
    """See :meth:`vtssi_pyro.Tracks.to_arviz`."""
    _refuse_other(origin)
    if tracks.samples is None:
        raise DataError("these tracks have no samples: forecast with ", Argument("num_samples"), " 2 or more")
    arviz = extra("arviz", "arviz", "posterior data need ArviZ")
    import xarray  # which ArviZ is made of

    drawn, length = _drawn(tracks, origin), tracks.present.shape[1]
    number = len(drawn)
    chains = chains or next(count for count in CHAINS if number % count == 0)
    if not 1 <= chains <= number or number % chains:
        raise UsageError(
            Argument("chains"),
            f" {chains}: {number} draws cannot be dealt evenly among them; choose a divisor",
        )
    kept = np.isfinite(drawn).any((0, 1, 2, 4)).nonzero()[0]  # slots that any sequence fills
    drawn = drawn[..., kept, :].reshape(chains, number // chains, *drawn.shape[1:3], len(kept), 2)
    split = length if observed is None else min(observed, length)
    groups = {}
    for group, frames in (("posterior", np.arange(split)), ("predictions", np.arange(split, length))):
        if len(frames):
            coordinates = {
                "chain": np.arange(chains), "draw": np.arange(number // chains),
                "sequence": np.arange(drawn.shape[2]), "frame": frames, "particle": kept,
            }  # fmt: skip
            groups[group] = xarray.Dataset(
                {
                    name: (tuple(coordinates), drawn[..., axis][:, :, :, frames], {"units": "px"})
                    for axis, name in enumerate("xy")
                },
                coordinates,
                _about(NO_UNITS, origin) | {"inference_library": "vtssi_pyro"},
            )
    if hasattr(arviz, "InferenceData"):  # before ArviZ 1.0, which has xarray's own tree of data sets
        return arviz.InferenceData(**groups)
    return xarray.DataTree.from_dict(groups)


def _drawn(tracks: Tracks, origin: Origin) -> np.ndarray:
    """Samples (S, B, T, N, 2), px from the origin; NaN where an object is absent."""
    assert tracks.samples is not None
    drawn = as_array(tracks.samples)
    present = tracks.present.cpu().numpy()[None, ..., None]
    return np.where(present, drawn, np.nan) + FIRST_PIXEL[origin] - FIRST_PIXEL["corner"]


def _about(units: Units, origin: Origin) -> dict[str, Any]:
    """What a table tells of itself: its maker, where (0, 0) is, and what its units were made from."""
    known = {key: value for key, value in units.as_dict().items() if value is not None}
    return {"vtssi_pyro": __version__, "first_pixel": FIRST_PIXEL[origin], **known}


def _refuse_other(origin: object) -> None:
    if origin not in FIRST_PIXEL:
        raise UsageError(Argument("origin"), f" {origin!r}: expected {' or '.join(FIRST_PIXEL)}")
