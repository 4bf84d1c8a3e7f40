"""Metrics as text."""

from collections.abc import Mapping
from typing import Any


def overall(metrics: Mapping[str, Any], observe: int) -> list[str]:
    """Lines of the metrics over all sequences, and over those whose count is right."""
    first, last = observe + 1, observe + len(metrics["prediction_error_by_frame"])
    lines = [
        f"sequences          {metrics['sequences']}",
        f"count accuracy     {_percent(metrics['count_accuracy'])}  "
        f"({metrics['counted_right']} sequences right in every frame)",
        f"inference error    {_row(metrics, 'inference_error')}",
    ]
    if last >= first:
        span = f"frames {first} to {last} after observing {observe}"
        lines.append(f"prediction error   {_row(metrics, 'prediction_error')}; {span}")
    return lines


def by_frame(metrics: Mapping[str, Any], observe: int) -> list[str]:
    """Lines of the errors frame by frame, frames counted from 1."""
    inferred, predicted = metrics["inference_error_by_frame"], metrics["prediction_error_by_frame"]
    expected = [None] * observe + list(predicted)
    lines = ["frame  inference  prediction error, px"]
    for t, error in enumerate(inferred):
        ahead = expected[t] if t < len(expected) else None
        lines.append(f"{t + 1:5}  {_number(error):>9}  {_number(ahead):>10}")
    return lines


def _row(metrics: Mapping[str, Any], key: str) -> str:
    right = _number(metrics[f"{key}_counted_right"])
    return f"{_number(metrics[key])} px  ({right} px where the count is right)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
