"""``vtssi-pyro info``."""

from typing import Any

import click

from .options import command, option


@command("vtssi-pyro info")
@option("--json", "as_json", is_flag=True, section="Output", help="Print one JSON object.")
def info(as_json: bool) -> None:
    """Print versions, devices and the extras found."""
    import json
    import platform

    import torch

    from vtssi_pyro.runs import default_threads, physical_cores, versions

    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    found: dict[str, Any] = {
        "versions": versions(),
        "platform": platform.platform(),
        "cores": physical_cores(),
        "threads": default_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in cuda],
        "extras": _extras(),
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, version in found["versions"].items():
        click.echo(f"{name:<12} {version}")
    click.echo(f"{'platform':<12} {found['platform']}")
    click.echo(f"{'CPU':<12} {found['cores']} cores, {found['threads']} threads by default")
    click.echo(f"{'CUDA':<12} {', '.join(found['cuda']) or 'none'}")
    for name, missing in found["extras"].items():
        click.echo(f"{name:<12} {'missing: ' + ', '.join(missing) if missing else 'installed'}")


def _extras() -> dict[str, list[str]]:
    """By extra, the packages it names that are not installed."""
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
