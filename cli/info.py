"""``vtssi-pyro info``."""

from typing import Any

import click

from .options import command, json_option


@command("vtssi-pyro info", "vtssi-pyro info runs/ours-linear-0001")
@click.argument("tracker", metavar="[RUN]", type=click.Path(), required=False)
@json_option
def info(tracker: str | None, as_json: bool) -> None:
    """Print versions, devices, extras and the weights that ship; or describe RUN.

    RUN is the folder of a run, or pretrained:NAME. The description holds its training and its metrics.
    """
    from pathlib import Path

    from vtssi_pyro import api
    from vtssi_pyro.artifacts.report import understood

    from .progress import results
    from .tables import about

    found = api.info(tracker)
    with understood(Path(found.get("name", "")) / "summary.json"):
        lines = _rows(found) if tracker is None else about(found)
    with results(as_json) as report:
        report.show(found, lines)


def _rows(found: dict[str, Any]) -> list[str]:
    rows = {
        **found["versions"],
        "platform": found["platform"],
        "CPU": f"{found['cores']} cores, {found['threads']} threads by default",
        "CUDA": ", ".join(found["cuda"]) or "none",
        "pretrained": ", ".join(found["pretrained"]) or "none",
    }
    for name, missing in found["extras"].items():
        rows[name] = "missing: " + ", ".join(missing) if missing else "installed"
    return [f"{name:<12} {value}" for name, value in rows.items()]
