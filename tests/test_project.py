"""The project's own rules, held by a machine: layers, sizes, names, one version, what a wheel holds."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
"""The two packages: `landline`, the engine, and `flask_landline`, Flask's face on it."""

MOST_LINES = {"src": 350, "js/src": 350}
"""Lines of a file, by folder."""
MOST_LINES_ELSEWHERE = 500
LONGER = {
    "js/src/poller.js": 473,
}
"""Files that are longer, and by how much they may be: to be split, and no line is added to this table."""
MOST_NAMES = 12
MOST_MODULES = 12


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    found = [
        path
        for folder in ("src", "js", "tests", "tools", "examples", "bench")
        for pattern in ("*.py", "*.js", "*.sh")
        for path in (ROOT / folder).rglob(pattern)
    ]
    return sorted(path for path in found if not {"static", "node_modules", ".venv"} & set(path.parts))


def most_lines(name: str) -> int:
    return next((most for folder, most in MOST_LINES.items() if name.startswith(f"{folder}/")), MOST_LINES_ELSEWHERE)


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {name: length for name, length in lengths.items() if length > LONGER.get(name, most_lines(name))} == {}


def test_engine_has_few_modules_at_its_root() -> None:
    assert len(list((SOURCE / "landline").glob("*.py"))) <= MOST_MODULES


def test_face_has_at_most_a_dozen_names() -> None:
    import flask_landline

    assert len(flask_landline.__all__) <= MOST_NAMES
    assert [name for name in flask_landline.__all__ if not hasattr(flask_landline, name)] == []
    assert sorted(set(flask_landline.__all__)) == sorted(flask_landline.__all__)


def project() -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_version_stands_in_one_place() -> None:
    version = project()["version"]
    assert metadata.version("Flask-Landline") == version, "installed before the version changed: run make again"
    elsewhere = [
        str(path.relative_to(ROOT))
        for path in SOURCE.rglob("*.py")
        if re.search(r"__version__\s*=\s*[\"']", path.read_text())
    ]
    assert elsewhere == []
    package_json = ROOT / "package.json"
    if package_json.is_file():
        assert json.loads(package_json.read_text()).get("version", version) == version


def test_readme_is_the_package_description() -> None:
    if (ROOT / "README.md").is_file():
        assert project().get("readme") == "README.md", 'add `readme = "README.md"` to [project] in pyproject.toml'


def required(distribution: str) -> set[str]:
    """Return what a distribution always needs, by name, in small letters."""
    lines = metadata.requires(distribution) or []
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines if "extra ==" not in line}


def loaded_modules(path: Path) -> Iterator[str]:
    """Yield the top-level modules that a file imports as soon as it is loaded."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_package_imports_only_what_it_declares() -> None:
    """What is imported on loading is the standard library's, declared, or something Flask always brings."""
    brought = {*required("Flask-Landline"), *required("Flask"), *required("Jinja2")}
    allowed = {*sys.stdlib_module_names, "flask_landline", "landline", *brought}
    # Only a test suite loads `testing`, and it brings pytest.
    paths = [path for path in SOURCE.rglob("*.py") if not module_name(path).startswith("landline.testing")]
    foreign = {module_name(path): set(loaded_modules(path)) - allowed for path in paths}
    assert {name: modules for name, modules in foreign.items() if modules} == {}


def test_wheel_holds_the_client_and_the_types(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    client = {f"static/landline{part}.{kind}" for part in ("", "-htmx", "-status") for kind in ("js", "d.ts")}
    wanted = {f"flask_landline/{name}" for name in ("py.typed", "__init__.py", *client)}
    assert wanted | {"landline/py.typed", "landline/__init__.py"} <= names
    assert not [name for name in names if name.endswith((".db", ".pyc"))]
