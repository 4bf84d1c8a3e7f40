"""``vtssi-pyro info``."""

from typing import Any

import click

from .options import command, option


@command("vtssi-pyro info", "vtssi-pyro info runs/vtssi-linear-0001")
@click.argument("run", type=click.Path(), required=False)
@option("--json", "as_json", is_flag=True, section="Output", help="Print one JSON object.")
def info(run: str | None, as_json: bool) -> None:
    """Print versions, devices, extras and the weights that ship; or describe RUN.

    RUN is the folder of a run, or pretrained:NAME. The description holds its training and its metrics.
    """
    import json

    from .tables import about

    if run is None:
        found = _machine()
        lines = _rows(found)
    else:
        from vtssi_pyro.artifacts.loading import find

        found = find(run).about()
        lines = about(found)
    click.echo(json.dumps(found) if as_json else "\n".join(lines))


def _machine() -> dict[str, Any]:
    import platform

    import torch

    from vtssi_pyro.artifacts.shipped import available
    from vtssi_pyro.system.machine import default_threads, physical_cores
    from vtssi_pyro.system.provenance import versions

    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cores": physical_cores(),
        "threads": default_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in cuda],
        "pretrained": list(available()),
        "extras": _extras(),
    }


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


def _extras() -> dict[str, list[str]]:
    """The missing packages of each extra."""
    import re
    from importlib.metadata import PackageNotFoundError, metadata, version

    missing: dict[str, list[str]] = {}
    try:
        about = metadata("vtssi-pyro")
    except PackageNotFoundError:  # used from its folder, not installed
        return missing
    for extra in about.get_all("Provides-Extra") or []:
        missing[extra] = []
        for requirement in about.get_all("Requires-Dist") or []:
            name = re.match(r"[\w.-]+", requirement)
            if name is None or not re.search(rf"extra == ['\"]{extra}['\"]", requirement):
                continue
            try:
                version(name[0])
            except PackageNotFoundError:
                missing[extra].append(name[0])
    return missing
