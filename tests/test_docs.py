"""README, pages and site: short where they promise it, the same where they say the same, and without a dead link."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from vtssi_pyro.cli.main import main

import vtssi_pyro

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(DOCS / "figures").glob("*.md")]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCREENS = 120  # lines of two screens


def prose(text: str) -> str:
    """A text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names that GitHub, and here MyST, give to the headings of a text."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(text: str, first: str) -> list[str]:
    """The lines of the table whose head begins with a cell."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rest = (i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return lines[start : next(rest, len(lines))]


def test_texts_are_finished_and_their_links_lead_somewhere() -> None:
    assert len(PAGES) > 15
    for path in [*PAGES, *NOTEBOOKS]:
        assert not re.findall(r"@[A-Z]+@|__[A-Z0-9]+__", path.read_text(encoding="utf-8")), path
    for path in PAGES:
        for file, anchor in re.findall(
            r"\]\((?!\w+:)([^)# ]*)#?([^) ]*)\)", prose(path.read_text(encoding="utf-8"))
        ):
            target = path.parent / file if file else path
            assert target.exists(), f"{path}: {file}"
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), (
                f"{path}: {file}#{anchor}"
            )


def typed(shell: str) -> list[list[str]]:
    """The arguments of each call of the program in lines of a shell."""
    words = shlex.shlex(shell.replace("\\\n", " ").replace("\n", "\n;"), posix=True, punctuation_chars=True)
    words.wordchars += "$,:@%+[]{}^!"
    found: list[list[str]] = []
    inside = False
    for word in words:
        if set(word) <= set(";&|<>()"):
            inside = False
        elif word in ("vtssi-pyro", "vtssi_pyro.cli", "vtssi_pyro"):
            found.append([])
            inside = True
        elif inside:
            found[-1].append(word)
    return found


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_the_program_understands_what_a_page_tells_to_type(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, options, their values and the number of arguments; not whether files are there."""
    monkeypatch.setattr("vtssi_pyro.system.forks.ready", lambda modules: None)
    # with the names of the group's help, which each command keeps from its first context on
    group = click.Context(main, **main.context_settings)
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        text = "".join(c for cell in json.loads(text)["cells"] for c in [*cell["source"], "\n\n"])
    inline = re.findall(r"`(vtssi-pyro [^`]*)`", prose(text))
    for shell in [*blocks(text, "sh"), *(re.sub(r"\s+", " ", part) for part in inline if "..." not in part)]:
        for args in typed(shell):
            if not args or "COMMAND" in args or args in (["--help"], ["--version"]):
                continue
            command = main.get_command(group, args[0])
            assert command is not None, f"{page.name}: {args}"
            if args[1:]:  # a name alone is a command that is spoken of
                try:
                    command.make_context(args[0], args[1:], parent=group)
                except click.BadParameter as error:  # capital letters stand for a value
                    if not re.match(r"'[A-Z]+' is not", error.message):
                        raise


def test_the_readme_is_two_screens() -> None:
    assert len(README.splitlines()) <= SCREENS
    assert README.count("![") == 2  # objects that stay, and objects that come and go
    (code,) = blocks(README, "python")
    assert len(code.splitlines()) <= 12
    compile(code, "README.md", "exec")


def test_no_figure_nor_card_names_a_folder_of_a_machine() -> None:
    files = [*DOCS.rglob("*.json"), *(ROOT / "vtssi_pyro" / "artifacts" / "weights").glob("*.json")]
    assert len(files) > 5
    for path in files:
        absolute = re.findall(r'"(?:/|[A-Za-z]:\\)[^"]*"', path.read_text(encoding="utf-8"))
        assert not absolute, f"{path}: {absolute}"


def test_readme_and_pages_have_the_same_commands_and_figures() -> None:
    """What stands twice, for who reads only one of both, is the same."""
    first, second = blocks(README, "sh")[:2]
    assert blocks((DOCS / "start.md").read_text(), "sh")[:2] == [first, second]
    flavours = table(README, "flavour")
    assert len(flavours) == 6
    assert table((DOCS / "weights.md").read_text(), "flavour") == flavours


@pytest.mark.parametrize("name", [".ci/run", ".github/workflows/tests.yml", "CONTRIBUTING.md"])
def test_tests_are_installed_and_run_as_the_readme_says(name: str) -> None:
    *_, install, command = blocks(README, "sh")[1].strip().split(" && ")
    assert install == 'pip install -c constraints.txt -e ".[dev]"'
    text = (ROOT / name).read_text()
    for short, long in (("-c", "--constraint"), ("-e", "--editable")):
        text = text.replace(f" {long} ", f" {short} ")
    text = text.replace(" --quiet ", " ")
    assert install in text
    assert command in text


def test_every_extra_is_described() -> None:
    first = [line.split("|")[1] for line in table((DOCS / "start.md").read_text(), "extra")]
    told = {name for names in first for name in re.findall(r"`(\w+)`", names)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told == set(project["optional-dependencies"])


def test_every_public_name_has_its_place_in_the_reference() -> None:
    text = (DOCS / "api.md").read_text()
    named = re.findall(r"^\.\. (?:autofunction|autoclass|data):: (\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(vtssi_pyro.__all__)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for module in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(module, reason="the site needs vtssi-pyro[docs]")
    site = tmp_path / "site" / "html"  # MyST-NB writes beside it
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    reference = (site / "api.html").read_text()
    assert all(f'id="vtssi_pyro.{name}"' in reference for name in vtssi_pyro.__all__)
    for path in NOTEBOOKS:
        page = (site / "notebooks" / f"{path.stem}.html").read_text()
        assert re.search(r'<img[^>]* src="\.\./_images/', page), f"{path.stem}: no picture"
        assert f'href="notebooks/{path.stem}.html"' in (site / "python.html").read_text()
    front = (site / "index.html").read_text()
    for page in ("start", "weights", "contributing", "changelog"):  # links of the README, from the root
        assert re.search(
            rf'<a class="reference internal" href="{page}\.html"><span class="std std-doc">', front
        ), page
