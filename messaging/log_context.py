"""Which message a log line belongs to: bound when its processing begins, so that every line from then on tells."""

from structlog.contextvars import bind_contextvars, unbind_contextvars

from schemas.wire import parse_call_id, parse_turn_id

__all__ = ["bind_message"]


def bind_message(message_id: str | None) -> None:
    """Binds a message, and the job, turn and call that its id names, to the log lines of this context.

    Args:
        message_id: Its id in Redis, `<purpose>~<number>`; None where no message of ours is processed.
    """
    unbind_contextvars("message", "job", "turn", "call")  # a thread keeps its context from message to message
    if message_id is None:
        return
    bind_contextvars(message=message_id)
    purpose, _, _ = message_id.partition("~")
    if call := parse_call_id(purpose):
        job, turn, _ = call
        bind_contextvars(job=job, turn=turn, call=purpose)
    elif step := parse_turn_id(purpose):
        job, turn = step
        bind_contextvars(job=job, turn=turn)
    elif purpose.startswith("job_"):
        bind_contextvars(job=purpose.partition("/")[0])
