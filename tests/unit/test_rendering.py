"""What the command line makes of values and events: text, the story of a job, and its hops. No process, no Redis."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import JobEvent, job_event
from trunkline.command_line.failures import BadInput
from trunkline.command_line.hops import Hop, hops_of, total_us, workers_of_turns
from trunkline.command_line.moments import read_duration, read_moment
from trunkline.command_line.rendering import ago, arguments_text, duration_text, plural, printable, shortened
from trunkline.command_line.story import Story
from trunkline.command_line.worker_process import WorkerProcess

NOW = datetime(2027, 3, 14, 15, 30, tzinfo=UTC)


def event(at_ms: float, type: str, **fields: Any) -> JobEvent:
    return job_event.validate_python({"id": f"{at_ms}-0", "at_us": round(at_ms * 1000), "type": type, **fields})


def delivered(worker: str, *, waited_ms: float = 1, crashes: int = 0) -> dict[str, Any]:
    fetched_us = round(waited_ms * 1000)
    return {"worker": worker, "message": "m", "enqueued_us": 0, "fetched_us": fetched_us, "crashes": crashes}


def facts(elapsed_ms: float, finish_reason: str | None = "stop") -> dict[str, Any]:
    elapsed_us = round(elapsed_ms * 1000)
    return {"model": "gpt", "attempt": 1, "started_us": 0, "elapsed_us": elapsed_us, "finish_reason": finish_reason}


def requested(index: int, tool: str, arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"index": index, "tool": tool, "pool": tool[0], "arguments": arguments, **fields}


#: Two calls of one turn in two workers, one of which is tried again; then the answer.
JOB = [
    event(0, "job_accepted", conversation_id="conv_1", waiting=False),
    event(2, "turn_started", turn=1, attempt=1, delivery=delivered("o1", waited_ms=1.5)),
    event(50, "model_answered", turn=1, facts=facts(40), calls=[requested(0, "a@1.0.0"), requested(1, "b@1.0.0")]),
    event(52, "call_started", turn=1, index=1, attempt=1, delivery=delivered("w2")),
    event(53, "call_started", turn=1, index=0, attempt=1, delivery=delivered("w1", waited_ms=2)),
    event(60, "call_ended", turn=1, index=1, outcome="succeeded", elapsed_us=7000, worker="w2"),
    event(63, "call_retried", turn=1, index=0, attempt=1, elapsed_us=9000, error="busy", retry_in_ms=100),
    event(165, "call_started", turn=1, index=0, attempt=2, delivery=delivered("w1")),
    event(170, "call_ended", turn=1, index=0, outcome="timed_out", elapsed_us=5000, worker="w1", attempt=2),
    event(172, "turn_started", turn=2, attempt=1, delivery=delivered("o1")),
    event(190, "model_answered", turn=2, facts=facts(15)),
    event(190, "job_ended", state="completed"),
]


def test_hops_come_turn_by_turn_with_the_model_first_and_the_gathering_last() -> None:
    assert hops_of(JOB) == [
        Hop(1, "model", "model", "orchestrator", "o1", waited_us=1500, ran_us=40_000),
        Hop(1, "call", "a", "a", "w1", waited_us=2000, ran_us=9000, outcome="tried again"),
        Hop(1, "call", "a", "a", "w1", waited_us=1000, ran_us=5000, outcome="timed out", attempt=2),
        Hop(1, "call", "b", "b", "w2", waited_us=1000, ran_us=7000, index=1),
        Hop(1, "gather", "gather", ran_us=120_000),
        Hop(2, "model", "model", "orchestrator", "o1", waited_us=1000, ran_us=15_000),
    ]
    assert total_us(JOB) == 190_000
    assert total_us(JOB[:-1]) is None
    assert workers_of_turns(JOB) == {1: ["w2", "w1"]}


def test_an_attempt_whose_process_died_is_a_hop_that_was_lost() -> None:
    events = [
        event(1, "turn_started", turn=1, attempt=1, delivery=delivered("o1")),
        event(9, "turn_started", turn=1, attempt=2, delivery=delivered("o2", crashes=1)),
        event(10, "model_answered", turn=1, facts=facts(1), calls=[requested(0, "a@1.0.0")]),
        event(11, "call_started", turn=1, index=0, attempt=1, delivery=delivered("w1")),
        event(19, "call_started", turn=1, index=0, attempt=2, delivery=delivered("w2", crashes=1)),
        event(20, "call_ended", turn=1, index=0, outcome="succeeded", elapsed_us=1, worker="w2"),
    ]
    found = [(hop.name, hop.worker, hop.outcome) for hop in hops_of(events)]
    assert found == [
        ("model", "o1", "lost"),
        ("model", "o2", ""),
        ("a", "w1", "lost"),
        ("a", "w2", ""),
        ("gather", None, ""),
    ]


def test_a_turn_that_made_its_job_fail_is_no_answer() -> None:
    error = {"code": "model_error", "message": "wrong key"}
    events = [
        event(1, "turn_started", turn=1, attempt=1, delivery=delivered("o1")),
        event(2, "model_answered", turn=1, facts=facts(1, finish_reason=None)),
        event(2, "job_ended", state="failed", error=error),
    ]
    assert [hop.outcome for hop in hops_of(events)] == ["failed"]
    told = story(events)
    assert "the model's turn ends after 1.0 ms" in told[0]
    assert "model_error: wrong key" in told[1]


def test_calls_of_one_tool_in_one_turn_are_told_apart() -> None:
    calls = [requested(0, "a@1.0.0"), requested(1, "b@1.0.0"), requested(2, "a@1.0.0")]
    told = story([event(1, "model_answered", turn=1, facts=facts(1), calls=calls)])
    assert [line.split()[1:3] for line in told[1:]] == [["a", "#1"], ["b"], ["a", "#2"]]


def test_the_story_says_who_did_what_how_long_it_took_and_what_came_of_it() -> None:
    told = story(JOB)
    assert told[0].split() == ["0.000", "s", "accepted", "in", "conv_1"]
    assert told[1] == "    0.050 s  ● turn 1    the model asks for 2 calls after 40 ms, gpt"
    assert told[4].endswith("▸ b                    b, process 22")
    assert told[6] == '    0.060 s  ✓ b                     7.0 ms  {"of": "1/1"}'
    assert told[7].endswith("↻ a                    busy; tried again in 100 ms")
    assert told[9] == '    0.170 s  ✗ a                     5.0 ms  timed out: {"of": "1/0"}'
    assert told[-1].split() == ["0.190", "s", "●", "completed"]


def test_lines_of_the_story_fit_their_width_however_long_arguments_and_results_are() -> None:
    call = requested(0, "a@1.0.0", arguments='{"text": "' + "x" * 5000 + '"}')
    events = [
        event(1, "model_answered", turn=1, facts=facts(1), calls=[call]),
        event(2, "call_ended", turn=1, index=0, outcome="succeeded", elapsed_us=1),
    ]
    told = story(events, result="y" * 5000)
    assert [len(line) for line in told[1:]] == [80, 80]
    assert all(line.endswith("…") for line in told[1:])


def test_a_process_that_is_gone_is_told_as_that() -> None:
    told = story([event(1, "call_started", turn=1, index=0, attempt=1, delivery=delivered("dead", crashes=2))])
    assert told[0].endswith("call 1/0             a process that is gone, after 2 crashes")


def story(events: list[JobEvent], *, result: str | None = None) -> list[str]:
    """The lines of a story in which worker `w1` is process 21, and so on."""

    def process(worker: str) -> WorkerProcess | None:
        return WorkerProcess(worker, pid=20 + int(worker[1:])) if worker[1:].isdecimal() else None

    teller = Story(process=process, result=lambda turn, index: result or f'{{"of": "{turn}/{index}"}}', width=80)
    return [line.plain.rstrip() for one in events for line in teller.tell(one)]


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (None, "–"),
        (0, "0.0 ms"),
        (449, "0.4 ms"),
        (9_940, "9.9 ms"),
        (9_960, "10 ms"),
        (999_400, "999 ms"),
        (999_600, "1.00 s"),
        (9_990_000, "9.99 s"),
        (59_900_000, "59.9 s"),
        (59_970_000, "1 min 0 s"),
        (125_000_000, "2 min 5 s"),
        (7_380_000_000, "2 h 3 min"),
    ],
)
def test_durations_are_in_the_unit_that_suits_them(microseconds: float | None, text: str) -> None:
    assert duration_text(microseconds) == text


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [
        (timedelta(seconds=-1), "0 s ago"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=61), "1 h ago"),
        (timedelta(days=3, hours=5), "3 d ago"),
    ],
)
def test_how_long_ago_something_was_is_in_one_unit(elapsed: timedelta, text: str) -> None:
    assert ago(NOW - elapsed, now=NOW) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"city": "Köln", "rooms": 3, "near": ["park"]}', 'city="Köln" rooms=3 near=["park"]'),
        ("{}", ""),
        ("[1,\n2]", "[1, 2]"),
        ('{"city": ', '{"city":'),
    ],
)
def test_arguments_are_names_and_values_or_as_the_model_wrote_them(arguments: str, text: str) -> None:
    assert arguments_text(arguments) == text


@given(st.text())
def test_nothing_that_controls_a_terminal_is_printed(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not {"\x1b", "\x07", "\x9b", "\r", "\x00", "\u202e"} & set(shown)


def test_half_a_character_which_no_stream_would_take_is_replaced() -> None:
    assert printable("a\ud800b") == "a�b"


def test_letters_of_every_script_lines_and_joined_signs_are_printed_as_they_are() -> None:
    text = "Grüße, 你好, مرحبا\n\t👩‍🌾 ✓"
    assert printable(text) == text


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_shortened_text_is_one_line_that_fits(text: str, width: int) -> None:
    line = shortened(text, width)
    assert len(line) <= width
    assert not {"\n", "\r", "\t"} & set(line)


def test_only_what_does_not_fit_is_shortened() -> None:
    assert shortened("a  b\nc", 5) == "a b c"
    assert shortened("abcdef", 5) == "abcd…"
    assert shortened("a" + " " * 100 + "b", 5) == "a…"


def test_numbers_of_things_are_told_in_the_plural() -> None:
    assert [plural(1, "call"), plural(0, "call"), plural(2, "process")] == ["1 call", "0 calls", "2 processes"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h", NOW - timedelta(hours=1)),
        ("90", NOW - timedelta(seconds=90)),
        ("2027-03-14T12:00:00Z", NOW.replace(hour=12, minute=0)),
        ("2027-03-14T12:00:00+02:00", NOW.replace(hour=10, minute=0)),
    ],
)
def test_a_moment_is_how_long_ago_or_a_time(text: str, moment: datetime) -> None:
    assert read_moment(text, option="--since", now=NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "-1h", "", "99999999d"])
def test_what_is_no_moment_is_told_with_its_option(text: str) -> None:
    with pytest.raises(BadInput, match="--since"):
        read_moment(text, option="--since", now=NOW)


@pytest.mark.parametrize("text", ["soon", "0", "-5s", "5 parsecs"])
def test_what_is_no_duration_is_told_with_its_option(text: str) -> None:
    with pytest.raises(BadInput, match="--timeout"):
        read_duration(text, option="--timeout")
