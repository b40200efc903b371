"""The notify pool: what is checked before the deed, what the outbox records, what is said of a failure."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.caller import Caller
from workers.context import ToolContext
from workers.errors import ArgumentsRejected, CallCancelled, NotDone
from workers.pools.database import AnswerLost, DatabaseNotReached, Row
from workers.pools.notify import tools
from workers.pools.notify.outbox import NotifySettings, Outbox, open_outbox


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    """The outbox that the tools write to."""
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TRUNKLINE_NOTIFY_DATABASE_URL", raising=False)
    tools._outbox.cache_clear()
    yield open_outbox()
    tools._outbox.cache_clear()


@pytest.fixture
def context() -> ToolContext:
    return ToolContext.for_test(caller=Caller(tenant="acme", user="ada"))


def tomorrow() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


def entries(outbox: Outbox) -> list[Row]:
    return outbox.database.run("SELECT * FROM outbox ORDER BY created_at")


def viewing(context: ToolContext, **changes: Any) -> tools.ViewingQueued:
    arguments = {
        "property_id": "austin-tx-007",
        "starts_at": tomorrow().isoformat(),
        "visitor_name": "Grace Hopper",
        "visitor_email": "grace@example.com",
    } | changes
    return tools.schedule_viewing(**tools.schedule_viewing.validate_arguments(arguments), context=context)


# What is done


def test_a_viewing_waits_in_the_outbox_with_everything_its_sender_needs(outbox: Outbox, context: ToolContext) -> None:
    starts_at = tomorrow()
    queued = viewing(context, starts_at=starts_at.isoformat(), duration_minutes=45, note="Ring twice")
    assert (queued.status, queued.starts_at) == ("queued", starts_at)
    assert queued.ends_at - queued.starts_at == timedelta(minutes=45)

    [row] = entries(outbox)
    assert row["id"] == queued.viewing_id
    assert (row["kind"], row["channel"], row["recipient"]) == ("viewing", "email", "grace@example.com")
    assert (row["tenant"], row["requested_by"]) == ("acme", "ada")
    assert (row["job_id"], row["call_id"]) == (context.job_id, context.call_id)
    assert row["sent_at"] is None
    assert datetime.fromisoformat(row["created_at"]) <= datetime.now(UTC)
    assert json.loads(row["payload"]) == {
        "property_id": "austin-tx-007",
        "starts_at": starts_at.isoformat(),
        "ends_at": queued.ends_at.isoformat(),
        "visitor_name": "Grace Hopper",
        "note": "Ring twice",
    }


@pytest.mark.parametrize(
    ("channel", "recipient", "subject"),
    [("email", "ada.l+home@mail.example.org", "Your viewing"), ("sms", "+15125550100", None)],
)
def test_a_message_waits_in_the_outbox(
    outbox: Outbox, context: ToolContext, channel: Any, recipient: str, subject: str | None
) -> None:
    queued = tools.send_message(channel, recipient, "Bis morgen, 10 Uhr – ü", subject, context=context)
    [row] = entries(outbox)
    assert (row["id"], row["kind"], row["channel"]) == (queued.message_id, "message", channel)
    assert json.loads(row["payload"]) == {"subject": subject, "text": "Bis morgen, 10 Uhr – ü"}


def test_a_call_that_runs_twice_leaves_two_entries_that_can_be_counted(outbox: Outbox, context: ToolContext) -> None:
    assert outbox.repeated_calls() == {}
    tools.send_message("sms", "+15125550100", "once", context=context)
    assert outbox.repeated_calls() == {}
    tools.send_message("sms", "+15125550100", "once", context=context)
    assert outbox.repeated_calls() == {context.call_id: 2}


def test_both_tools_are_declared_unsafe_so_that_nobody_repeats_them() -> None:
    for tool in (tools.schedule_viewing, tools.send_message):
        assert tool.specification.effect == "unsafe"
        assert tool.specification.max_attempts == 1


# What is checked before


@pytest.mark.parametrize(
    ("starts_at", "problem"),
    [
        (datetime.now(UTC) - timedelta(minutes=1), "starts_at: is in the past; it is 2"),
        (datetime.now(UTC) + timedelta(days=400), "starts_at: is more than 365 days ahead"),
    ],
)
def test_a_viewing_begins_in_the_future_but_not_far_ahead(
    outbox: Outbox, context: ToolContext, starts_at: datetime, problem: str
) -> None:
    with pytest.raises(ArgumentsRejected, match=problem):
        viewing(context, starts_at=starts_at.isoformat())
    assert entries(outbox) == []


def test_the_offset_of_a_time_counts(outbox: Outbox, context: ToolContext) -> None:
    now = datetime.now(UTC)
    wall_clock = (now - timedelta(hours=1)).replace(tzinfo=None).isoformat(timespec="seconds")
    assert viewing(context, starts_at=f"{wall_clock}-05:00").starts_at > now
    with pytest.raises(ArgumentsRejected, match="in the past"):
        viewing(context, starts_at=f"{wall_clock}+02:00")
    assert len(entries(outbox)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"starts_at": "2027-03-14T15:30:00"},  # no offset
        {"starts_at": "tomorrow at noon"},
        {"starts_at": "2027-02-30T15:30:00Z"},
        {"visitor_email": "grace"},
        {"visitor_email": "grace@example"},
        {"visitor_email": "grace@example.com\nBcc: everyone@example.com"},
        {"visitor_email": "a@example.com, b@example.com"},
        {"visitor_name": ""},
        {"visitor_name": "   "},
        {"visitor_name": "Grace\r\nBcc: everyone@example.com"},
        {"property_id": "x\x00"},
        {"duration_minutes": 0},
        {"duration_minutes": 10_000},
        {"note": "x" * 1_001},
    ],
)
def test_a_viewing_that_makes_no_sense_is_rejected(
    outbox: Outbox, context: ToolContext, changes: dict[str, object]
) -> None:
    with pytest.raises(ArgumentsRejected):
        viewing(context, **changes)
    assert entries(outbox) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"channel": "email", "recipient": "+15125550100"}, "recipient: is not an email address"),
        ({"channel": "email", "recipient": "a@b.example\nCc: c@d.example"}, "recipient: is not an email address"),
        ({"channel": "sms", "recipient": "ada@example.com"}, "recipient: is not a telephone number"),
        ({"channel": "sms", "recipient": "555-0100"}, "recipient: is not a telephone number"),
        ({"channel": "sms", "recipient": "+15125550100\n"}, "recipient: is not a telephone number"),
        ({"channel": "sms", "recipient": "+15125550100", "text": "x" * 1_601}, "text: has more than 1600"),
        ({"channel": "sms", "recipient": "+15125550100", "subject": "Hello"}, "subject: is for email only"),
        ({"channel": "email", "recipient": "a@b.example", "subject": "a\nBcc: c@d.example"}, "subject"),
        ({"channel": "pigeon", "recipient": "a@b.example"}, "channel"),
        ({"channel": "email", "recipient": "a@b.example", "text": ""}, "text"),
    ],
)
def test_a_message_that_cannot_be_delivered_is_rejected(
    outbox: Outbox, context: ToolContext, arguments: dict[str, object], problem: str
) -> None:
    with pytest.raises(ArgumentsRejected, match=problem):
        tools.send_message(**tools.send_message.validate_arguments({"text": "hello"} | arguments), context=context)
    assert entries(outbox) == []


# What is said of a failure


def test_a_call_that_nobody_waits_for_any_more_does_nothing(outbox: Outbox) -> None:
    with pytest.raises(CallCancelled):
        tools.send_message("sms", "+15125550100", "late", context=ToolContext.for_test(cancelled=True))
    assert entries(outbox) == []


def test_an_outbox_that_is_locked_for_too_long_is_not_done(
    outbox: Outbox, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pools.database.sqlite._PATIENCE_S", 0.05)
    with outbox.database.transaction(), pytest.raises(NotDone, match="Nothing was sent") as raised:
        # The tool has a connection of its own, as another process would.
        tools.send_message("sms", "+15125550100", "hello", context=context)
    assert isinstance(raised.value.__cause__, DatabaseNotReached)
    assert entries(outbox) == []


def test_a_folder_that_is_not_there_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outbox: Outbox, context: ToolContext
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(NotDone, match="Nothing was sent"):
        tools.send_message("sms", "+15125550100", "hello", context=context)


def test_an_answer_that_got_lost_is_not_said_to_be_not_done(
    outbox: Outbox, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> str:
        raise AnswerLost("the connection ended")

    monkeypatch.setattr(Outbox, "add", lost)
    with pytest.raises(AnswerLost):
        tools.send_message("sms", "+15125550100", "hello", context=context)


# The file


_SEND = """
import sys
from workers.context import ToolContext
from workers.pools.notify import send_message
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    send_message("sms", "+15125550100", f"message {number}", context=ToolContext.for_test())
"""


def test_processes_that_start_at_the_same_time_share_one_outbox_and_lose_nothing(tmp_path: Path) -> None:
    environment = {"TRUNKLINE_DATA_DIR": str(tmp_path / "new"), "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _SEND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate() and process.returncode for process in processes] == [0] * 5
    assert len(entries(open_outbox(NotifySettings(data_dir=tmp_path / "new")))) == 100
