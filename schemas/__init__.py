"""What crosses a wire: frozen pydantic models, and nothing else of ours.

The order in which data flows through these files:

1. `caller` and `chat_job`: who asks, and what for;
2. `conversation`: the messages, in OpenAI's chat format;
3. `tool`: what a pool publishes about a tool;
4. `envelope`: what a message on a queue carries;
5. `call`: one tool call and its outcome;
6. `events`: what happened, in order;
7. `job_result`: how a job ended.

`wire` holds what all of them share: the base class, the schema version and the ids. `generate` writes their JSON
Schemas to `schemas/json/`. This package knows neither Redis, nor Dramatiq, nor OpenTelemetry.
"""
