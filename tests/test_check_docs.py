"""The documents' checker finds each kind of fault, and nothing in sound documents."""

from pathlib import Path

import pytest

from tools import check_docs, reference

SOUND = """
# The title

`make demo`, then `make test`. See [the keys](docs/reference/config.md#landline_prefix),
[below](#how-its-done--with-care), [elsewhere](https://example.org/none), [there](#there)
and `[code](is/no/link)`.

## How it's *done* & with `care`

<a id="there"></a>

```python
live = Landline(app)
```
"""

FAULTS = {
    "[gone](docs/gone.md)": "README.md:1: docs/gone.md does not exist",
    "[gone]: docs/gone.md": "README.md:1: docs/gone.md does not exist",
    '<img src="docs/gone.png">': "README.md:1: docs/gone.png does not exist",
    "[out](../secret)": "README.md:1: ../secret leads out of the repository",
    "[no](#such-heading)": "no heading of README.md makes the anchor #such-heading",
    "[no](CHANGES.md#such-heading)": "no heading of CHANGES.md makes the anchor #such-heading",
    "```python\nx = = 1\n```": "README.md:2: this Python does not parse",
    "`LANDLINE_COLOUR`": "README.md:1: LANDLINE_COLOUR is no key of src/landline/config.py",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "README.md": SOUND,
        "CONTRIBUTING.md": "# Contributing",
        "CHANGES.md": "# Changes\n\nLANDLINE_OLD is gone.",
        "docs/reference/python.md": "# Python",
        "docs/reference/config.md": "# Keys\n\n## `LANDLINE_PREFIX`\n",
        "src/landline/config.py": "class Config:\n    prefix: str = '/landline'\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(check_docs, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "PARTS", {})
    return tmp_path


def test_sound_documents_have_no_fault(root: Path) -> None:
    assert list(check_docs.faults()) == []


@pytest.mark.parametrize(("text", "fault"), FAULTS.items())
def test_fault_is_named(root: Path, text: str, fault: str) -> None:
    (root / "README.md").write_text(f"{text}\n\nmake demo, make test")
    (found,) = check_docs.faults()
    assert fault in found


def test_key_that_the_reference_leaves_out_is_named(root: Path) -> None:
    (root / "src/landline/config.py").write_text("class Config:\n    prefix: str\n    max_event: int = 1\n")
    (found,) = check_docs.faults()
    assert "LANDLINE_MAX_EVENT is missing" in found


@pytest.mark.parametrize("name", ["loop/gone.py", "src/landline/gone/"])
def test_file_that_a_topic_names_is_there(root: Path, name: str) -> None:
    (root / "docs/topics").mkdir()
    (root / "docs/topics/way.md").write_text(f"`config.py`, `landline/config.py`, `docs/`,\nand `{name}`")
    assert list(check_docs.faults()) == [f"docs/topics/way.md:2: there is no `{name}`"]


def test_missing_document_is_named(root: Path) -> None:
    (root / "CHANGES.md").unlink()
    assert "CHANGES.md does not exist" in list(check_docs.faults())
