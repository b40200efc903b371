"""Calls any OpenAI-compatible endpoint through the openai SDK.

The SDK's `create()` transforms and validates the whole history at every call, which costs more than the rest of a turn;
its `post()` keeps the connection pool, the authentication and the errors, and takes the body as bytes. The SDK's own
retries are off: `retry_policy` is the one place that decides.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import openai

from messaging.redaction import redact
from orchestrator.model_client import (
    ModelAnswer,
    ModelRefused,
    ModelRequest,
    ModelUnavailable,
    answer_from_completion,
)
from schemas.tool import ToolSpecification

_WORTH_TRYING_AGAIN = frozenset({408, 409, 425, 429})
#: A 429 that no waiting helps against.
_HOPELESS_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class OpenAIChat:
    """A `ModelClient` for the endpoint at `base_url`.

    Args:
        api_key: Sent as a bearer token.
        base_url: Of the API, such as `https://api.openai.com/v1`; None for the SDK's default.
    """

    def __init__(self, *, api_key: str, base_url: str | None = None) -> None:
        # The SDK over aiohttp's connections costs a third less than over its own.
        transport = openai.DefaultAioHttpClient()
        self._client = openai.AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, http_client=transport)

    async def complete(self, request: ModelRequest, *, timeout_s: float) -> ModelAnswer:
        """See `ModelClient.complete`."""
        try:
            completion = await self._client.post(
                "/chat/completions",
                content=request_body(request),
                cast_to=object,
                options=_options(timeout_s),
            )
        except openai.APIStatusError as error:
            raise _status_error(error) from error
        except openai.APIConnectionError as error:
            causes = list(_causes(error))
            # The SDK also calls a connection that breaks a time-out; aiohttp knows better.
            if any(isinstance(cause, TimeoutError) for cause in causes):
                raise ModelUnavailable(
                    f"the model did not answer within {timeout_s:.3g} s", error_type="timeout"
                ) from error
            reason = redact(str(causes[-1]) or type(causes[-1]).__name__)
            raise ModelUnavailable(
                f"cannot reach the model at {self._client.base_url}: {reason}", error_type="connection"
            ) from error
        except (openai.APIError, ValueError) as error:
            raise ModelUnavailable(f"the model's answer was cut off or is no JSON: {redact(str(error))}") from error
        if isinstance(completion, str):
            raise ModelUnavailable("the endpoint answered with text where a chat completion was expected")
        return answer_from_completion(completion)

    async def close(self) -> None:
        """See `ModelClient.close`."""
        await self._client.close()


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _options(timeout_s: float) -> openai.RequestOptions:
    return {"timeout": timeout_s, "headers": {"Content-Type": "application/json"}}


def request_body(request: ModelRequest) -> bytes:
    """The request as JSON. The messages go in as they are kept."""
    parts = [f'{{"model":{json.dumps(request.model)},"messages":[{",".join(request.messages)}]']
    if request.tools:
        parts.append(f',"tools":{_tools_json(request.tools)}')
        if request.tool_choice:
            parts.append(f',"tool_choice":{json.dumps(request.tool_choice)}')
    parameters = request.parameters.model_dump(mode="json", exclude_none=True, exclude={"tool_choice"})
    if not request.tools:
        parameters.pop("parallel_tool_calls", None)
    parts += [f",{json.dumps(name)}:{json.dumps(value)}" for name, value in parameters.items()]
    return "".join([*parts, "}"]).encode()


def _tools_json(tools: Sequence[ToolSpecification]) -> str:
    functions = [{"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in tools]
    return json.dumps([{"type": "function", "function": function} for function in functions])


def _status_error(error: openai.APIStatusError) -> ModelUnavailable | ModelRefused:
    message = f"HTTP {error.status_code}: {redact(_provider_message(error))}"
    worth_it = error.status_code in _WORTH_TRYING_AGAIN or error.status_code >= 500
    if worth_it and error.code not in _HOPELESS_CODES:
        return ModelUnavailable(message, retry_after_s=_retry_after_s(error), error_type=str(error.status_code))
    return ModelRefused(message, error_type=str(error.status_code))


def _provider_message(error: openai.APIStatusError) -> str:
    body: Any = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        text = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(text, str) and text:
            return text[:1000]
    return str(error)[:1000]


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None
