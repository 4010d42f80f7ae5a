"""Nothing may cost more because there is more of something else: counted in instructions, not seconds."""

from collections.abc import Callable

import pytest

from bench import smoke


@pytest.mark.slow
def test_no_cost_grows_with_the_log_its_channels_or_other_readers(require: Callable[[str], str]) -> None:
    for tool in ("valgrind", "cc"):
        require(tool)
    growing = [str(growth) for growth in smoke.measure() if growth.ratio > smoke.ALLOWED]
    assert growing == []


def test_a_cost_that_grows_is_seen() -> None:
    counts = {f"{what}|{around}": 100 for what, *pair in smoke.PAIRS for around in pair}
    what, _, much = smoke.PAIRS[0]
    counts[f"{what}|{much}"] = 150
    assert [growth.ratio for growth in smoke.compare(counts)][:2] == [1.5, 1.0]
