"""The contract of append and read."""

from __future__ import annotations

import json
import re

import pytest

from ..cursor import Cursor
from ..logs.base import ChannelInfo, Log
from .fixtures import LogFixtures, offsets_of
from .tools import Clock


class ReadingContract(LogFixtures):
    """What is appended is read, exactly and in order."""

    def test_new_log_is_empty(self, log: Log) -> None:
        assert re.fullmatch("[0-9a-z]{8}", log.epoch)
        assert log.tail() == Cursor(log.epoch, 0)
        assert log.read(0, 10) == []
        assert log.read(0, 10, ["a"]) == []
        assert log.newest("a") is None
        assert log.channels() == []
        assert log.floor(["a"]).get("a", 0) == 0
        assert log.trim() == 0

    def test_append_returns_the_event_that_is_read_later(self, log: Log, clock: Clock) -> None:
        clock.now = 1_700_000_000.123
        event = log.append("a", '{"id": 7}')
        assert (event.channel, event.at, event.payload, event.snapshot) == ("a", 1_700_000_000.123, '{"id": 7}', False)
        assert event.offset >= 1
        assert event.epoch == log.epoch
        assert log.tail() == Cursor(log.epoch, event.offset)
        assert log.read(0, 10) == log.read(0, 10, ["a"]) == [event]
        assert log.newest("a") == event

    def test_offsets_rise_across_channels(self, log: Log) -> None:
        events = [log.append(name, str(number)) for number, name in enumerate("abacab")]
        offsets = offsets_of(events)
        assert offsets == sorted(set(offsets))
        assert log.read(0, 10) == events

    def test_read_returns_what_comes_after_oldest_first(self, log: Log) -> None:
        events = [log.append(name, str(number)) for number, name in enumerate("abacab")]
        assert log.read(events[1].offset, 10) == events[2:]
        assert log.read(events[5].offset, 10) == []
        assert log.read(0, 2) == events[:2]
        assert log.read(events[1].offset, 2) == events[2:4]

    @pytest.mark.parametrize("names", [("a",), ("b", "a"), ("c", "a", "b"), ("nothing", "b")])
    def test_read_of_channels_leaves_out_the_others(self, log: Log, names: tuple[str, ...]) -> None:
        events = [log.append(name, str(number)) for number, name in enumerate("abacabba")]
        wanted = [event for event in events if event.channel in names]
        assert log.read(0, 10, names) == wanted
        assert log.read(0, 2, names) == wanted[:2]
        assert log.read(wanted[0].offset, 10, names) == wanted[1:]

    def test_read_of_no_channels_is_empty(self, log: Log) -> None:
        log.append("a", "1")
        assert log.read(0, 10, []) == []

    @pytest.mark.parametrize("names", [("a",), ("b", "a", "nothing"), ("a", "b", "c")])
    @pytest.mark.parametrize("max_bytes", [1, 250, 1000, 10**9])
    def test_page_is_the_beginning_of_what_is_read(self, log: Log, names: tuple[str, ...], max_bytes: int) -> None:
        """It may end early, but not with its first event, nor while its payloads fit."""
        for number, name in enumerate("abacabbaccab" * 3):
            log.append(name, f'"{"x" * (50 + 7 * number)}"')
        for after, limit in [(0, 100), (0, 5), (3, 11), (36, 5)]:
            whole = log.read(after, limit, names)
            found = log.read_page(names, after, limit, max_bytes)
            assert found == whole[: len(found)]
            assert len(found) == len(whole) or (len(found) > 1 and sum(event.size for event in found) > max_bytes)

    def test_reading_consumes_nothing(self, log: Log) -> None:
        log.append("a", "1")
        assert log.read(0, 10) == log.read(0, 10)
        assert log.tail() == log.tail()

    @pytest.mark.parametrize(
        "value",
        [None, True, 0, -1.5e300, 2**70, "", " ", "ü€𝄞\u2028\u2029", '"\\', "\x00\x7f", [], {"": {}}, "x" * 1_000_000],
        ids=lambda value: str(value)[:10].encode("unicode_escape").decode(),
    )
    @pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "plain"])
    def test_payload_comes_back_byte_for_byte(self, log: Log, value: object, ascii_only: bool) -> None:
        payload = json.dumps(value, ensure_ascii=ascii_only)
        event = log.append("a", payload)
        assert [event.payload for event in log.read(0, 10)] == [payload]
        assert event.data == value

    @pytest.mark.parametrize("name", ["a", "A", "room/7", "grüße/€/𝄞", "a b", "%41", "a'b\"c;--", "x" * 200])
    def test_channel_names_come_back_as_they_were(self, log: Log, name: str) -> None:
        log.append("other", "1")
        event = log.append(name, "2")
        assert log.read(0, 10, [name]) == [event]
        assert log.newest(name) == event
        assert log.read(0, 10, [name.swapcase() + "."]) == []
        assert {info.name for info in log.channels()} == {name, "other"}

    def test_channel_names_differ_by_case(self, log: Log) -> None:
        log.append("orders", "1")
        event = log.append("Orders", "2")
        assert log.read(0, 10, ["Orders"]) == [event]

    def test_channels_tells_what_is_kept_by_name(self, log: Log) -> None:
        first, second, third = (log.append(name, "1") for name in "bab")
        assert log.channels() == [
            ChannelInfo("a", 1, second.offset, second.offset),
            ChannelInfo("b", 2, first.offset, third.offset),
        ]
