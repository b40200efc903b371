"""What the processes of a benchmark write down, and how it is read."""

import time
from pathlib import Path

import pytest

from benchmarks.happenings import Happenings, HappeningsWriter, What


def test_what_several_writers_note_is_read_once_and_in_order(tmp_path: Path) -> None:
    happenings = Happenings(tmp_path / "file")
    writers = [HappeningsWriter(tmp_path / "file") for _ in range(2)]
    before_us = time.time_ns() // 1000
    for number in range(6):
        writers[number % 2].note(What.START, number, fetched_us=number * 10)
    read = happenings.new()
    assert [(one.what, one.number, one.fetched_us) for one in read] == [(What.START, n, n * 10) for n in range(6)]
    assert all(before_us <= one.at_us <= time.time_ns() // 1000 for one in read)
    assert happenings.new() == []


def test_a_record_that_is_only_half_there_is_read_when_it_is_whole(tmp_path: Path) -> None:
    HappeningsWriter(tmp_path / "whole").note(What.END, 7)
    record = (tmp_path / "whole").read_bytes()
    happenings = Happenings(tmp_path / "file")
    (tmp_path / "file").write_bytes(record[:5])
    assert happenings.new() == []
    with (tmp_path / "file").open("ab") as stream:
        stream.write(record[5:])
    assert [one.number for one in happenings.new()] == [7]


def test_waiting_passes_over_other_kinds_and_says_what_was_missing(tmp_path: Path) -> None:
    happenings, writer = Happenings(tmp_path / "file"), HappeningsWriter(tmp_path / "file")
    writer.note(What.START, 1)
    writer.note(What.END, 1)
    assert [one.what for one in happenings.wait(What.END, 1, timeout_s=1)] == [What.END]
    with pytest.raises(TimeoutError, match="0 of 1 times END"):
        happenings.wait(What.END, 1, timeout_s=0.01)
