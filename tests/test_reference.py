"""The Python reference is what the docstrings say, and the checker of the documents notices when it is not."""

from pathlib import Path

import pytest

from tools import check_docs, reference
from tools.reference import DOCUMENT, Named, Reference

MODULE = '''
class Bell:
    """Rings, as `Bell.ring` says (WIRE §8).

    See `docs/how-to/ring.md#loud` and `docs/how-to/ring.md`.

    Args:
        tone: hertz.
        publisher: its owner.

    Example:
        >>> Bell(440)
    """

    size: int = 1
    """Metres,
    across."""

    def __init__(self, tone: float = 440_0.0, *, publisher: str = "") -> None:
        self.tone = tone

    def ring(self, *times: int, loud: bool = False, **others: int) -> None:
        """Ring.

        Args:
            times: seconds
                from now.
            loud: whether with both hands.
            others: more of it.

        Returns:
            Nothing.

        Raises:
            UsageError: it is cracked.
        """

    def mend(self, function: object) -> object:
        """Decorate what mends it."""

    def melt(self) -> None:
        """Melt."""

    def _crack(self) -> None:
        """Crack."""
'''

PARTS = {"Bell": (Named("landline.bell.Bell", leave_out=("melt",)),)}

EMPTY = "# Python\n\nBy hand: `Bell.ring`.\n\n<!-- made from the docstrings: Bell -->\n<!-- end -->\n\nBelow.\n"

FULL = """# Python

By hand: `Bell.ring`.

<!-- made from the docstrings: Bell -->

### `Bell(tone=4400.0, *, publisher='')`

Rings, as [`Bell.ring`](#bellringtimes-loudfalse-others) says ([wire §8](../wire.md#8-snapshot)).

See [Loud](../how-to/ring.md#loud) and [Ring it](../how-to/ring.md).

- `tone`: hertz.
- `publisher`: its owner.

```python
Bell(440)
```

| attribute | |
|---|---|
| `size` | Metres, across. |

### `Bell.ring(*times, loud=False, **others)`

Ring.

- `times`: seconds from now.
- `loud`: whether with both hands.
- `others`: more of it.

Returns: Nothing.

- raises `UsageError`: it is cracked.

### `@Bell.mend`

Decorate what mends it.

<!-- end -->

Below.
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "README.md": "make demo, make test",
        "CONTRIBUTING.md": "# Contributing",
        "CHANGES.md": "# Changes",
        "docs/how-to/ring.md": "# Ring it\n\n## Loud",
        "docs/wire.md": "# The wire\n\n## 8. Snapshot",
        "docs/reference/config.md": "# Keys",
        str(DOCUMENT): EMPTY,
        "src/landline/__init__.py": "",
        "src/landline/bell.py": MODULE,
        "src/landline/config.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(check_docs, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "PARTS", PARTS)
    return tmp_path


def test_docstrings_are_written_between_the_marks(root: Path) -> None:
    assert Reference(root).renew(EMPTY) == FULL


def test_renewing_what_is_new_changes_nothing(root: Path) -> None:
    assert Reference(root).renew(FULL) == FULL


def test_checker_finds_a_docstring_that_changed(root: Path) -> None:
    (root / DOCUMENT).write_text(FULL)
    assert list(check_docs.faults()) == []

    (root / "src/landline/bell.py").write_text(MODULE.replace("Melt.", "Melts.").replace("Ring.", "Toll."))
    assert list(check_docs.faults()) == [
        "docs/reference/python.md: it is not what the docstrings say; run 'make reference' and commit what it writes"
    ]


def test_part_that_is_missing_is_named(root: Path) -> None:
    with pytest.raises(ValueError, match=r"the parts must be \['Bell'\], and are \[\]"):
        Reference(root).renew("# Python")


def test_section_without_a_form_is_named(root: Path) -> None:
    (root / "src/landline/bell.py").write_text(MODULE.replace("Returns:", "Beware:"))
    with pytest.raises(ValueError, match=r"landline\.bell\.Bell\.ring: a docstring's section 'admonition'"):
        Reference(root).renew(EMPTY)


@pytest.mark.parametrize(
    ("was", "becomes"), [("loud: whether", "quiet: whether"), ("            others: more of it.\n", "")]
)
def test_docstring_that_describes_other_parameters_is_named(root: Path, was: str, becomes: str) -> None:
    assert was in MODULE
    (root / "src/landline/bell.py").write_text(MODULE.replace(was, becomes))
    with pytest.raises(ValueError, match=r"landline\.bell\.Bell\.ring: the docstring describes \["):
        Reference(root).renew(EMPTY)
