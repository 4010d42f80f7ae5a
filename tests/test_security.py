"""SECURITY.md, the list of mutants and the code say the same."""

import re
from pathlib import Path

import pytest

from tools import mutants

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()
MUTANTS = mutants.load()
PLACES = mutants.places()


def rows() -> list[list[str]]:
    """Return the cells of each row of the threat model, without heads and rules."""
    lines = [line for line in TEXT.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "asset" and not set(row[0]) <= {"-"}]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_fits_the_code_as_it_is(mutant: mutants.Mutant) -> None:
    """A mutant whose expression is gone tries nothing: write down what takes the defence out now."""
    assert mutants.mutated(mutant, PLACES[mutant.name])
    assert (ROOT / mutant.test.split()[0]).exists()


def test_what_is_marked_in_the_code_is_on_the_list() -> None:
    assert sorted(PLACES) == sorted(mutant.name for mutant in MUTANTS)


def test_each_row_names_its_test_and_what_takes_its_defence_out() -> None:
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    named: list[str] = []
    for row in rows():
        assert len(row) == 5
        assert all(row)
        tests = re.findall(r"\]\((tests/[^)]+)\)", row[3])
        taken = re.findall(r"`([a-z0-9-]+)`", row[4])
        assert taken, row
        assert {by_name[name].test.split()[0] for name in taken} <= set(tests), row
        assert all((ROOT / test).exists() for test in tests), row
        named += taken
    assert sorted(named) == sorted(by_name)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / target).exists(), target
