"""The board's vitals: numbers from files of /proc, made up here."""

from pathlib import Path

import pytest

from examples.board.vitals import Vitals

MEMINFO = "MemTotal:        2048 kB\nMemFree:          100 kB\nMemAvailable:    512 kB\n"
ROUTES = "Iface\tDestination\tGateway\neth0\t00000000\t010200C0\neth0\t000200C0\t00000000\n"


class Machine:
    """A folder that looks like /proc, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 100.0
        (folder / "net").mkdir()
        (folder / "meminfo").write_text(MEMINFO)
        (folder / "net" / "route").write_text(ROUTES)
        (folder / "loadavg").write_text("0.50 1.25 2.00 3/456 7890\n")
        self.tell(cores=[(0, 0)], network=(0, 0))

    def tell(self, *, cores: list[tuple[int, int]], network: tuple[int, int]) -> None:
        """Write what the kernel counts: ticks (busy, idle) of each core, bytes (received, sent)."""
        lines = ["cpu 9 9 9 9 9 9 9 9 9 9"]
        lines += [f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 7 7" for number, (busy, idle) in enumerate(cores)]
        (self.folder / "stat").write_text("\n".join([*lines, "intr 12345 0 0", "ctxt 99"]) + "\n")
        received, sent = network
        (self.folder / "net" / "dev").write_text(
            "Inter-|   Receive\n face |bytes\n"
            "    lo: 999999 1 0 0 0 0 0 0 999999 1 0 0 0 0 0 0\n"
            f"  eth0:{received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n"
            "docker0: 888888 1 0 0 0 0 0 0 888888 1 0 0 0 0 0 0\n"
        )

    def vitals(self) -> Vitals:
        return Vitals(self.folder, lambda: self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_rates_are_means_since_the_reading_before(machine: Machine) -> None:
    machine.tell(cores=[(100, 100), (0, 1000)], network=(5_000, 700))
    vitals = machine.vitals()
    machine.now += 2.0
    machine.tell(cores=[(175, 125), (0, 1100)], network=(9_000, 900))
    sample = vitals.read()
    assert sample["cores"] == [75.0, 0.0]
    assert sample["network"] == {"received": 2000, "sent": 100}
    machine.now += 2.0
    assert vitals.read()["network"] == {"received": 0, "sent": 0}


def test_memory_and_load(machine: Machine) -> None:
    sample = machine.vitals().read()
    assert sample["memory"] == {"used": 1536 * 1024, "total": 2048 * 1024}
    assert sample["load"] == [0.5, 1.25, 2.0]


def test_waiting_for_a_disk_is_not_busy(machine: Machine) -> None:
    vitals = machine.vitals()
    (machine.folder / "stat").write_text("cpu 0\ncpu0 10 0 0 40 50 0 0 0 0 0\n")
    assert vitals.read()["cores"] == [10.0]


def test_counters_that_begin_anew_give_no_negative_rates(machine: Machine) -> None:
    machine.tell(cores=[(500, 500)], network=(5_000, 5_000))
    vitals = machine.vitals()
    machine.now += 2.0
    machine.tell(cores=[(1, 1)], network=(10, 10))
    sample = vitals.read()
    assert sample["cores"] == [0.0]
    assert sample["network"] == {"received": 0, "sent": 0}


def test_core_switched_off_is_left_out(machine: Machine) -> None:
    machine.tell(cores=[(0, 0), (0, 0)], network=(0, 0))
    vitals = machine.vitals()
    machine.tell(cores=[(1, 1)], network=(0, 0))
    assert vitals.read()["cores"] == [50.0]


def test_without_a_way_out_all_but_loopback_counts(machine: Machine) -> None:
    (machine.folder / "net" / "route").write_text("Iface\tDestination\tGateway\n")
    vitals = machine.vitals()
    machine.now += 1.0
    machine.tell(cores=[(0, 0)], network=(1_000, 0))
    assert vitals.read()["network"]["received"] == 1_000


def test_machine_without_proc_is_not_supported(tmp_path: Path) -> None:
    assert not Vitals(tmp_path / "proc").supported


def test_this_machine_has_vitals() -> None:
    sample = Vitals().read()
    assert len(sample["cores"]) >= 1
    assert 0 < sample["memory"]["used"] < sample["memory"]["total"]
