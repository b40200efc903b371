"""Writes the JSON Schemas of what crosses a queue to `schemas/json/`: `python -m schemas.generate`.

They are for upstream systems in other languages. A test holds them current.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from schemas.chat_job import ChatJob
from schemas.envelope import CallEnvelope, ExpiryEnvelope, TurnEnvelope
from schemas.events import JobEvent
from schemas.job_result import JobResult
from schemas.tool import ToolSpecification

FOLDER: Final = Path(__file__).parent / "json"

#: File name, and what it describes.
_WRITTEN: Final[dict[str, Any]] = {
    "chat_job": ChatJob,
    "job_result": JobResult,
    "job_event": JobEvent,
    "tool_specification": ToolSpecification,
    "turn_envelope": TurnEnvelope,
    "call_envelope": CallEnvelope,
    "expiry_envelope": ExpiryEnvelope,
}


def json_schemas() -> dict[str, str]:
    """The schemas as JSON text by file name."""
    written = {}
    for name, model in _WRITTEN.items():
        schema = TypeAdapter(model).json_schema()
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
        written[f"{name}.json"] = json.dumps(schema, indent=2, sort_keys=True) + "\n"
    return written


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in json_schemas().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
