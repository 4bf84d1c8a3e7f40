"""The paper's own numbers, for comparison, and the names of cells; no model imports them."""

import re
from typing import NamedTuple

from vtssi_pyro.config.variants import FAMILIES, NAMES, OURS, PAPER, Ablation

# Cells of the whole's weights, positions read from the search (section 5.2), and the variant of their training.
WITHOUT_MOTION = {family.without_motion.name: family.name(Ablation.WHOLE) for family in FAMILIES}
MODELS = (*NAMES, *WITHOUT_MOTION)
TITLES = {name: title for family in FAMILIES for name, title in family.titles.items()}
FLAVOURS = ("linear", "linear-overlap", "elliptic", "elliptic-overlap")  # the rows of Table 1
ALL = "mixed"  # all of them in turns, in one training; the paper has none such


def usual_preset(variant: str) -> str:
    """The preset of a cell's training, unless another is named: paper-fast of the paper's names, else standard."""
    papers = variant in PAPER.titles and variant not in OURS.titles
    return "paper-fast" if papers else "standard"


def cell(name: str) -> tuple[str, str, int] | None:
    """Variant, flavour and seed of the training VARIANT-FLAVOUR-SEED; None where the table has no such cell."""
    found = re.fullmatch(rf"({'|'.join(MODELS)})-({'|'.join((*FLAVOURS, ALL))})-([0-9]+)", name)
    return (found[1], found[2], int(found[3])) if found else None


class Published(NamedTuple):
    """A cell of Table 1."""

    count_accuracy: float  # share of sequences, of AIR share of frames
    inference_error: float  # px
    prediction_error: float | None = None  # px; None without a model of motion


# Test sets of 10,000 sequences of 20 frames; a single training each, no standard errors.
TABLE1: dict[str, dict[str, Published]] = {
    "linear": {
        "air": Published(0.9763, 5.953),
        "find": Published(0.9998, 1.019),
        "rect-find": Published(0.9999, 1.131),
        "find-mot": Published(0.9997, 1.291, 3.491),
        "vtssi": Published(0.9999, 1.035, 3.442),
    },
    "linear-overlap": {
        "air": Published(0.9722, 5.620),
        "find": Published(0.9153, 2.739),
        "rect-find": Published(0.9970, 1.225),
        "find-mot": Published(0.9267, 3.002, 5.197),
        "vtssi": Published(0.9950, 1.109, 3.544),
    },
    "elliptic": {
        "air": Published(0.9733, 5.160),
        "find": Published(0.9998, 0.973),
        "rect-find": Published(0.9998, 1.095),
        "find-mot": Published(0.9999, 0.846, 2.836),
        "vtssi": Published(0.9996, 1.028, 2.583),
    },
    "elliptic-overlap": {
        "air": Published(0.9672, 4.833),
        "find": Published(0.9095, 2.130),
        "rect-find": Published(0.9948, 1.194),
        "find-mot": Published(0.8955, 2.282, 4.365),
        "vtssi": Published(0.9954, 1.076, 2.676),
    },
}
