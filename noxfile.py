"""Other Pythons, and the oldest versions that pyproject.toml allows: `make compatible`, or `nox -s lowest-3.11`.

`make test` runs everything on one Python with the newest versions; these run what needs no servers and browsers.
"""

import re
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
PYTHONS = ["3.11", "3.12", "3.13"]
OWN = ["--editable", ".[dev]"]
SERVED = ["held", "proving", "examples", "static", "bench", "fuzz"]
"""Folders of tests that start servers or browsers: as in the Makefile."""
QUICK = ["-n", "auto", "--dist", "loadfile", "-m", "not browser and not ledger and not slow", "-q"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the quick tests on each Python that is installed, with the pinned versions."""
    session.install("--quiet", "--constraint", "constraints.txt", *OWN)
    _run(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the quick tests with the oldest versions of what Landline depends on."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    folder = Path(session.create_tmp())
    constraints = folder / "lowest.txt"
    constraints.write_text("".join(f"{_lowest(line)}\n" for line in project["dependencies"]))
    session.install("--quiet", "--constraint", str(constraints), *OWN)
    _run(session)


def _lowest(requirement: str) -> str:
    """Return the pin of the lowest version that a requirement allows."""
    name, version = re.fullmatch(r"([A-Za-z0-9._-]+)>=([0-9.]+)", requirement).groups()  # type: ignore[union-attr]
    return f"{name}=={version}"


def _run(session: nox.Session) -> None:
    ignored = [f"--ignore=tests/{folder}" for folder in SERVED]
    session.run("python", "-m", "pytest", *QUICK, *ignored, *session.posargs)
