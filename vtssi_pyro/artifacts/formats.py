"""Conversion of configurations and weights in former formats, so that old runs stay readable.

Format 1 had one flat configuration for all blocks; its flags and the variant's name chose among them. One module held
scene, attention and picture. Format 2 names the kind of the block in every slot, but models of our blocks go by the
names of the paper's variants. Format 3 names each variant by its blocks. Format 4 knows by hash all that a run was
made from. Format 5 has stages that end early, and motions with filters and walls. Format 6 has roll-outs from every
frame, and messages that end at a distance. Format 7 has glimpses of which training hides a side. Format 8 has elastic
collisions. Format 9 has walls that turn objects back at their edges, format 10 objects that climb, format 11 tracks
that are smoothed. A file of the present format must be complete; a key added to the configuration therefore needs a
format of its own, by which files without it are known.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from vtssi_pyro.config import absent, from_dict, not_finite, to_dict
from vtssi_pyro.errors import CheckpointError
from vtssi_pyro.model.config import ModelConfig, variant_of
from vtssi_pyro.train.config import Config

T = TypeVar("T")

FORMAT = 11
_SLOTS = {"count": "scene", "size": "scene", "description": "scene", "decoder": "picture"}
_OBJECTS = ("scene", "attention", "picture")
_WITHOUT_MOTION = ("air", "find", "rect-find")
_WITHOUT_CONSENSUS = ("air", "find", "find-mot")


def known_format(made: Any, where: object) -> int:
    """Return the format of a file; refuse one that this version does not read.

    Raises:
        CheckpointError: the format is none of those up to the present one.
    """
    if made not in range(1, FORMAT + 1):
        raise CheckpointError(f"{where}: written in format {made}, this version reads format {FORMAT}")
    return int(made)


def restored(plain: Mapping[str, Any], made: int, where: object) -> tuple[Config, dict[str, Any]]:
    """Restore a configuration from plain values of any known format.

    Args:
        plain: the values.
        made: their format.
        where: their file, for messages.

    Returns:
        the configuration, and by dotted key the values filled in for keys that a former format lacks.

    Raises:
        CheckpointError: a number is not finite, or a key of the present format is missing.
        UsageError: a key or a kind is not known, or a value is of another type.
    """
    recipe = upgraded_recipe(plain, made)
    if lost := not_finite(recipe):
        raise CheckpointError(f"{where}: damaged: {lost[0]} is no finite number; put the old file back")
    config = from_dict(recipe, Config)
    filled = absent(recipe, to_dict(config))
    if filled and made == FORMAT:
        key, value = next(iter(filled.items()))
        raise CheckpointError(
            f"{where}: damaged: it lacks {key}; put the old file back, or, if the key is a new one of a block of your "
            f"own, add it with the value of before, such as {value!r}"
        )
    return config, filled


def upgraded_recipe(plain: Mapping[str, Any], made: int) -> dict[str, Any]:
    """Convert a whole configuration to the present format.

    Args:
        plain: the configuration.
        made: its format.

    Raises:
        CheckpointError: the configuration has a block of no present kind.
        UsageError: the configuration's model has a key or a kind that is not known.
    """
    if made == 1:
        plain = _with_kinds(plain)
    if made <= 2:
        plain = {**plain, "variant": variant_of(from_dict(plain["model"], ModelConfig))}
    return dict(plain)


def _with_kinds(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a whole configuration of format 1 to format 2."""
    model, train = plain["model"], plain["train"]
    refine = model["template"].get("refinement", 0) if model["finder"] != "learned" else 0
    stages = [_upgraded_stage(stage, refine) for stage in train["stages"]]
    return {
        **plain,
        "model": _upgraded_model(model, plain["variant"], refine),
        "train": {**train, "stages": stages},
    }


def upgraded_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """Rename the entries of a tracker's state to the present names; entries that have these stay."""
    return {_renamed(name): value for name, value in weights.items()}


def _renamed(name: str) -> str:
    slot, _, rest = name.partition(".")
    if slot == "air":
        return f"{_SLOTS.get(rest.partition('.')[0], 'attention')}.{rest}"
    return f"finder.{rest}" if slot == "find" else name


def _upgraded_model(old: Mapping[str, Any], variant: str, refine: int) -> dict[str, Any]:
    air, rect, mot = old["air"], old["rect"], old["mot"]
    shared = _some(air, "num_objects", "frame_size", "glimpse", "description", "size_loc", "size_scale")
    spots = old["attention"] == "spots"
    single = variant in _WITHOUT_CONSENSUS
    return {
        **shared,
        **_some(air, "scale_transform"),
        **_some(mot, "walk_scale"),
        "scene": {"kind": "counted", **_some(air, "count_loc", "count_scale")},
        "attention": _attention(old, spots),
        "picture": {
            "kind": "solid" if spots else "additive",
            **_some(air, "noise", "bell_sigma"),
            "decoder": list(reversed(air["vae_dense"])),
        },
        "consensus": {"kind": "first-frame"} if single else _consensus(rect, old["consensus"]),
        "finder": {"kind": "none"} if variant == "air" else _finder(old),
        "motion": {"kind": "random-walk"} if variant in _WITHOUT_MOTION else _motion(mot),
        "per_frame": variant == "air",
        **_some(old, "sample_intermediate", "fusion"),
        "test_time": {
            "hypotheses": 1 if single else rect.get("tries", 1),
            "refine": 0 if variant == "air" else refine,
            **_some(old["template"], "settled"),
            "tight": True,
        },
    }


def _attention(old: Mapping[str, Any], spots: bool) -> dict[str, Any]:
    air = old["air"]
    if spots:
        return {"kind": "spots", **old["spots"], "encoder": air["vae_dense"]}
    networks = (
        "counter_filters",
        "counter_pad",
        "counter_dense",
        "locator_filters",
        "locator_units",
        "locator_head",
    )
    return {
        "kind": "strided-air" if air["stride"] else "air",
        **_some(air, *networks, "dropout", "same_padding", "place_scale"),
        "encoder": air["vae_dense"],
    }


def _consensus(rect: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if kind == "clearest":
        return {"kind": "clearest", **_some(rect, "K")}
    return {
        "kind": "count-rect" if rect.get("count_gain") else "rect",
        **_some(rect, "K", "units", "dense"),
    }


def _finder(old: Mapping[str, Any]) -> dict[str, Any]:
    kind, find = old["finder"], old["find"]
    if kind == "learned":
        rest = {key: value for key, value in find.items() if key != "stride"}
        return {"kind": "strided-find" if find["stride"] else "find", **rest}
    template = _some(old["template"], "kernel_side", "sharpness", "rounds", "strength", "reach", "floor")
    return {"kind": kind, **template, **(_some(old["template"], "gate") if kind == "following" else {})}


def _motion(mot: Mapping[str, Any]) -> dict[str, Any]:
    own = _some(
        mot, "M", "motion", "units", "heads", "transition", "weight_shared", "position_scale", "scale_init"
    )
    ours = _some(mot, "differences", "extents", "activation", "step", "inertia")
    if mot.get("residual"):
        return {"kind": "residual-mot", **own, **ours}
    if ours.get("differences") or ours.get("extents") or ours.get("activation", "tanh") != "tanh":
        raise CheckpointError(
            "model.mot: differences, extents or another activation without residual: no motion of this version is such"
        )
    return {"kind": "mot", **own}


def _upgraded_stage(stage: Mapping[str, Any], refine: int) -> dict[str, Any]:
    """Convert a stage; in format 1, blocks that a stage did not train acted as at test time."""
    blocks: list[str] = []
    for name in stage["blocks"]:
        blocks += _OBJECTS if name == "air" else [_renamed(name + ".").removesuffix(".")]
    if blocks == [f"motion.{network}.body.scale" for network in ("readout", "position", "motion")]:
        blocks = ["motion.scales"]
    trained = {name.partition(".")[0] for name in blocks}
    refined = bool(refine and blocks) and "finder" not in trained and stage["objective"] != "frames"
    return {**stage, "blocks": blocks, "refined": refined}


def _some(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}
