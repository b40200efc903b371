"""The JSON Schemas for upstream systems in other languages."""

import json

import jsonschema
import pytest

from schemas.chat_job import ChatJob
from schemas.generate import FOLDER, json_schemas


def test_the_schemas_in_the_repository_are_those_of_the_models() -> None:
    in_repository = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
    assert in_repository == json_schemas(), "run `make schemas` and commit what it writes"


def test_a_job_that_the_model_takes_fits_its_schema() -> None:
    schema = json.loads((FOLDER / "chat_job.json").read_text())
    job = ChatJob.model_validate(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            ],
            "tools": ["property_*", "fetch_url@1.0.0"],
            "reply_to": {"queue": "reply.web", "actor": "on_answer"},
            "caller": {"tenant": "acme", "permissions": ["*"]},
        }
    )
    jsonschema.validate(job.model_dump(mode="json", exclude_none=True), schema)


def test_a_job_that_the_model_refuses_does_not_fit_its_schema() -> None:
    schema = json.loads((FOLDER / "chat_job.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"messages": [{"role": "user", "content": "hello"}], "temprature": 1}, schema)
