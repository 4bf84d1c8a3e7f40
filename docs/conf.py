"""The site: ``sphinx-build -W --keep-going -b html docs docs/_build``."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

from vtssi_pyro import __version__

ROOT = Path(__file__).parents[1]

project = "vtssi_pyro"
author = copyright = "The vtssi_pyro developers"
release = __version__
exclude_patterns = ["_build", "jupyter_execute"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # links to headings, as GitHub names them
nb_execution_mode = "off"  # pages show the outputs that are committed
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True  # as the source has them
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"{project} {release}"


def skip_field(app: Sphinx, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    """Fields of named tuples, which say nothing of themselves."""
    return True if str(member.__doc__).startswith("Alias for field") else None


def rebase_links(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Links of a text that is included from the root begin there."""
    content[0] = re.sub(r"\]\((?!\w+:|#)", "](../", content[0])


def link_to_pages(app: Sphinx, doctree: nodes.document) -> None:
    """Links to texts and notebooks outside of this folder, which hold in the repository, lead to their pages here."""
    for link in doctree.findall(pending_xref):
        if link.get("refdomain") == "doc" and Path(link["reftarget"]).is_relative_to(ROOT):
            link["reftarget"] = Path(link["reftarget"]).relative_to(ROOT).as_posix().lower()


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_field)
    app.connect("include-read", rebase_links)
    app.connect("doctree-read", link_to_pages)
