"""The ids of a job's trace, derived from the ids of what its spans are about.

Nothing has to be stored or carried: whoever knows a job's id knows its spans' ids, a span can be exported after others
already point to it, and exporting it again gives the same bytes.
"""

from hashlib import blake2b


def trace_id_of(job_id: str, traceparent: str | None = None) -> str:
    """The trace of a job, 32 hexadecimal digits: its caller's if there is one, else one of its own."""
    if traceparent is not None:
        return traceparent.split("-")[1]
    return blake2b(job_id.encode(), digest_size=16).hexdigest()


def job_span_id(job_id: str) -> str:
    """The span of a whole job, 16 hexadecimal digits."""
    return _span_id(job_id)


def attempt_span_id(step_id: str, attempt: int) -> str:
    """The span in which one attempt of a turn (`job/turn`) or of a call (`job/turn/index`) is processed."""
    return _span_id(f"{step_id}#{attempt}")


def part_span_id(step_id: str, part: str) -> str:
    """The span of a part of a job, turn or call that is never current anywhere, such as a wait."""
    return _span_id(f"{step_id}:{part}")


def _span_id(name: str) -> str:
    return blake2b(name.encode(), digest_size=8).hexdigest()
