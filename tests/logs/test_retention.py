"""When a channel is cut back to what it keeps."""

import math

import pytest
from landline.logs.registry import Retention


@pytest.mark.parametrize(
    ("keep", "above"), [(None, math.inf), (1, 1), (9, 9), (10, 11), (1000, 1100)], ids=lambda value: str(value)
)
def test_channel_is_cut_back_when_it_has_a_tenth_more(keep: int | None, above: float) -> None:
    assert Retention(keep, None).trim_above() == above
