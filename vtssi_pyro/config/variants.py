"""The variants of section 3.4 by name: one family of names for the paper's own blocks, one for this package's."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

CUSTOM = "custom"  # a model of other blocks than those that a family names


class Ablation(Enum):
    """The blocks that a variant has beside AIR; null objects stand in place of the others."""

    FRAMES = "none: single frames"
    SEARCH = "search"
    CONSENSUS = "consensus and search"
    MOTION = "search and motion"
    WHOLE = "consensus, search and motion"


class Variant(NamedTuple):
    """The name of a variant."""

    name: str  # in configurations, files and commands
    title: str  # in tables and figures


class Family(NamedTuple):
    """The names of one system's variants, each by the blocks that it has."""

    blocks: str  # whose blocks the names are of
    variants: Mapping[Ablation, Variant]
    without_motion: Variant  # the whole's weights without its motion: positions of the search (section 5.2)

    @property
    def names(self) -> tuple[str, ...]:
        """The variants' names, the whole last."""
        return tuple(variant.name for variant in self.variants.values())

    @property
    def titles(self) -> dict[str, str]:
        """The titles by name, that of the whole without its motion last."""
        return {variant.name: variant.title for variant in (*self.variants.values(), self.without_motion)}

    def name(self, ablation: Ablation) -> str:
        """The name of a variant."""
        return self.variants[ablation].name


# FIND, RECT, MOT and VTSSI name the paper's blocks alone.
PAPER = Family(
    "the paper's own blocks",
    {
        Ablation.FRAMES: Variant("air", "AIR"),
        Ablation.SEARCH: Variant("find", "FIND"),
        Ablation.CONSENSUS: Variant("rect-find", "RECT/FIND"),
        Ablation.MOTION: Variant("find-mot", "FIND/MOT"),
        Ablation.WHOLE: Variant("vtssi", "VTSSI"),
    },
    Variant("vtssi-without-mot", "VTSSI without MOT"),
)
OURS = Family(
    "this package's blocks",
    {
        Ablation.FRAMES: Variant("air", "AIR"),
        Ablation.SEARCH: Variant("template-search", "template search"),
        Ablation.CONSENSUS: Variant("count-rect-template-search", "count RECT + template search"),
        Ablation.MOTION: Variant("template-search-residual-mot", "template search + residual MOT"),
        Ablation.WHOLE: Variant("ours", "all of ours"),
    },
    Variant("ours-without-residual-mot", "all of ours without residual MOT"),
)
FAMILIES = (PAPER, OURS)
NAMES = tuple(dict.fromkeys(name for family in FAMILIES for name in family.names))


def ablation_of(name: str) -> Ablation:
    """The blocks that a variant has; names that both families share mean the same in both."""
    return next(
        ablation
        for family in FAMILIES
        for ablation, variant in family.variants.items()
        if variant.name == name
    )
