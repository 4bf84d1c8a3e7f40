"""Ours beside trackpy, LapTrack, and background subtraction with SORT, on the same drawn movies.

All are given the frames as an array, the size of the objects and their largest number; the others also how far an
object moves at most, and of rings, which are no bright spots, the absolute differences from the median frame. Ours has
no training unless ``--fitted`` is given. The others' packages are no dependencies of this one:

pip install trackpy laptrack opencv-python-headless trackers
python benchmarks/compare.py --out comparison [--kinds blobs,rings,digits,beads] [--fitted] [--threads 1]

It prints a table in Markdown, and writes all figures of each movie as JSON.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import brownian
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from vtssi_pyro import Hints, Tracks, fit, track
from vtssi_pyro.data.scenes import Drawn, scene
from vtssi_pyro.evaluation.mot_metrics import mot_metrics
from vtssi_pyro.movies import Movie, array_movie

# Share of an object's size: two equal boxes as far apart along one axis have half their union in common.
FOUND = 1 / 3
REACH = 0.5  # of an object's size, the farthest that others look for it in the next frame: it moves a seventh
MEMORY = 10  # frames that others remember a lost object


class Setting(NamedTuple):
    """A drawn movie, and what is told of it."""

    drawn: Drawn
    bright: bool  # whether objects are bright spots

    @property
    def objects(self) -> int:
        """Their number, the same in all frames."""
        return self.drawn.path.shape[1]

    @property
    def hints(self) -> Hints:
        """What ours is told."""
        return Hints(objects=self.objects, object_size=self.drawn.size)

    @property
    def movie(self) -> Movie:
        """The movie, for ours."""
        return array_movie("compared", self.drawn.frames)

    @property
    def bright_frames(self) -> np.ndarray:
        """Frames (T, H, W) uint8 in which objects are bright: what moves, where they are not."""
        if self.bright:
            return self.drawn.frames
        frames = self.drawn.frames.astype(np.int16)
        return np.abs(frames - np.median(frames, 0).astype(np.int16)).astype(np.uint8)

    @property
    def side(self) -> int:
        """The size of the objects in whole pixels, an odd number."""
        return int(self.drawn.size) // 2 * 2 + 1


Rows = Sequence[tuple[int, int, float, float]]  # frame, identity, x and y, px


def ours(setting: Setting) -> Tracks:
    """Tracks of our blocks without a training."""
    return track("untrained", setting.movie, hints=setting.hints).tracks


def fitted(setting: Setting) -> Tracks:
    """Tracks of our blocks after ``fit``, whose time counts."""
    return track(fit(setting.movie, hints=setting.hints), setting.movie).tracks


def trackpy(setting: Setting) -> Tracks:
    """Centroids of the brightest spots, linked where a constant velocity leads."""
    import trackpy

    trackpy.quiet()
    predict = trackpy.predict.NearestVelocityPredict()
    linked = predict.link_df(_spots(setting), REACH * setting.drawn.size, memory=MEMORY)
    return _tracks(setting, list(zip(linked.frame, linked.particle, linked.x, linked.y, strict=True)))


def laptrack(setting: Setting) -> Tracks:
    """The same centroids, linked by assignments of least squared distance, with gaps closed."""
    from laptrack import LapTrack

    reach = (REACH * setting.drawn.size) ** 2
    linker = LapTrack(cutoff=reach, gap_closing_cutoff=reach, gap_closing_max_frame_count=MEMORY)
    linked, *_ = linker.predict_dataframe(_spots(setting), ["y", "x"], only_coordinate_cols=False)
    return _tracks(setting, list(zip(linked.frame, linked.track_id, linked.x, linked.y, strict=True)))


def sort(setting: Setting) -> Tracks:
    """Boxes around the connected foreground of a mixture of Gaussians, tracked by SORT (Bewley et al. 2016)."""
    import cv2
    from supervision import Detections
    from trackers import SORTTracker

    subtract = cv2.createBackgroundSubtractorMOG2(history=len(setting.drawn.frames), detectShadows=False)
    for frame in setting.drawn.frames:  # it knows the background before it is asked
        subtract.apply(frame)
    tracker = SORTTracker(lost_track_buffer=MEMORY, minimum_consecutive_frames=1)
    rows = []
    for t, frame in enumerate(setting.drawn.frames):
        mask = cv2.medianBlur(subtract.apply(frame, learningRate=0), 3)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        left, top, width, height, area = stats[1:].T  # the first is the background
        large = area > setting.drawn.size**2 / 16  # a quarter of a side, squared: smaller spots are noise
        boxes = np.stack([left, top, left + width, top + height], -1)[large].astype(float)
        found = tracker.update(
            Detections(xyxy=boxes, confidence=np.ones(len(boxes)), class_id=np.zeros(len(boxes), int))
        )
        for (x0, y0, x1, y1), identity in zip(found.xyxy, found.tracker_id, strict=True):
            if identity >= 0:  # a track that is no more than a candidate has none
                rows.append((t, int(identity), (x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5))
    return _tracks(setting, rows)


TRACKERS: Mapping[str, Callable[[Setting], Tracks]] = {
    "ours, untrained": ours,
    "ours, fitted": fitted,
    "trackpy": trackpy,
    "LapTrack": laptrack,
    "MOG2 + SORT": sort,
}


def settings() -> dict[str, list[Setting]]:
    """The movies: twelve whose objects overlap and look alike or nearly, and three of isolated spots."""
    alike = [scene("blobs", side=112, objects=6, size=16, seed=seed) for seed in range(4)]
    rings = [scene("rings", side=128, objects=4, size=24, seed=seed) for seed in range(4)]
    digits = [scene("digits", side=64, objects=3, seed=seed) for seed in range(4)]
    beads = [Drawn(*brownian.drawn(seed, 10, 120), 4 * brownian.WIDTH) for seed in range(3)]
    crowds = {
        "6 blobs, alike": alike,
        "4 rings, alike": rings,
        "3 digits": digits,
        "10 isolated beads": beads,
    }
    return {kind: [Setting(each, "rings" not in kind) for each in movies] for kind, movies in crowds.items()}


def of_kinds(words: str) -> dict[str, list[Setting]]:
    """The movies whose kind names one of the words, which commas divide."""
    return {
        kind: movies for kind, movies in settings().items() if any(word in kind for word in words.split(","))
    }


def judged(setting: Setting, tracks: Tracks) -> dict[str, float]:
    """Recall, switches of identity and errors of centres; every box is a square of the objects' size."""
    truth = _boxed(setting, torch.from_numpy(setting.drawn.path)[None])
    metrics = mot_metrics(truth, _boxed(setting, tracks.position, tracks.present))
    error = _errors(setting, tracks)
    return {
        "recall": metrics["recall"],
        "idf1": metrics["idf1"],
        "switches": metrics["identity_switches"],
        "error": float(error.mean()),
        "objects": float(truth.present.sum()),
    }


def _errors(setting: Setting, tracks: Tracks) -> np.ndarray:
    """Distances of true centres to those found, frame by frame, as far as these lie on the objects, px."""
    found = []
    for true, position, present in zip(
        setting.drawn.path, tracks.position[0].numpy(), tracks.present[0].numpy(), strict=True
    ):
        far = np.linalg.norm(true[:, None] - position[present][None], axis=-1)
        near = far[linear_sum_assignment(np.minimum(far, setting.drawn.size))]
        found.append(near[near < FOUND * setting.drawn.size])
    return np.concatenate(found)


def _spots(setting: Setting) -> "object":
    """A table of the brightest spots of each frame, as many as there are objects, by trackpy's centroids."""
    import trackpy

    # by default two spots nearer than a diameter are one
    near = {"separation": setting.drawn.size / 3, "topn": setting.objects}
    return trackpy.batch(setting.bright_frames, setting.side, **near, processes=1)


def _boxed(setting: Setting, position: torch.Tensor, present: torch.Tensor | None = None) -> Tracks:
    present = torch.ones(position.shape[:3], dtype=torch.bool) if present is None else present
    return Tracks(position, present, torch.full_like(position, setting.drawn.size))


def _tracks(setting: Setting, rows: Rows) -> Tracks:
    """Tracks (1, T, N, 2) of rows that count pixels from their centres."""
    names = {name: slot for slot, name in enumerate(sorted({row[1] for row in rows}))}
    position = np.full((len(setting.drawn.frames), len(names), 2), np.nan)
    for frame, name, x, y in rows:
        position[int(frame), names[name]] = x + 0.5, y + 0.5
    present = ~np.isnan(position[..., 0])
    return Tracks(torch.from_numpy(position)[None], torch.from_numpy(present)[None])


def measured(tracker: Callable[[Setting], Tracks], setting: Setting) -> dict[str, float]:
    """The figures of a tracker on a movie, with the processor seconds that it took."""
    since = time.process_time()
    tracks = tracker(setting)
    taken = time.process_time() - since
    return {**judged(setting, tracks), "seconds": taken, "frames": float(len(setting.drawn.frames))}


def line(kind: str, name: str, figures: Sequence[Mapping[str, float]]) -> str:
    """A row of the table: figures of all movies of a kind together."""
    objects = np.array([each["objects"] for each in figures])
    recall, error, idf1 = (np.average([each[key] for each in figures], weights=objects)
                           for key in ("recall", "error", "idf1"))  # fmt: skip
    switches = sum(each["switches"] for each in figures)
    speed = sum(each["frames"] for each in figures) / sum(each["seconds"] for each in figures)
    return (
        f"| {kind} | {name} | {100 * recall:.1f} % | {switches:.0f} | {100 * idf1:.1f} % | {error:.2f} px "
        f"| {speed:.{0 if speed >= 10 else 1}f} |"
    )


def main() -> None:
    """Judge every tracker on every movie, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", default="blobs,rings,digits,beads")
    parser.add_argument("--fitted", action="store_true", help="also fit each movie, minutes each")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    print("| movies | tracker | recall | identity switches | IDF1 | error of centres | frames/s |")
    print("|---|---|---|---|---|---|---|")
    for kind, movies in of_kinds(options.kinds).items():
        for name, tracker in TRACKERS.items():
            if tracker is fitted and not options.fitted:
                continue
            figures = [measured(tracker, setting) for setting in movies]
            path = options.out / f"{kind}, {name}.json".replace(" ", "-")
            path.write_text(json.dumps(figures, indent=1))
            print(line(kind, name, figures), flush=True)


if __name__ == "__main__":
    main()
