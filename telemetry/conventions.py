"""Every name that leaves us in a span: OpenTelemetry's where there is one, ours where there is none.

OpenTelemetry Semantic Conventions 1.44 (messaging, errors), and those for generative AI, which have a repository of
their own (github.com/open-telemetry/semantic-conventions-genai) and still move. What is ours begins with `trunkline.`:
there is no convention for waits in queues, retries, limits and gathering. Durations are in seconds.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE_NAME: Final = "trunkline"

# Generative AI

OPERATION_NAME: Final = "gen_ai.operation.name"
INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
PROVIDER_NAME: Final = "gen_ai.provider.name"
#: The format that the endpoint speaks; who is behind it, its URL and the model's name tell.
PROVIDER_OPENAI: Final = "openai"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"  # tokens of a model
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
FUNCTION: Final = "function"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
# Content, which is off unless somebody opts in.
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"

# Metrics

CLIENT_OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
CLIENT_TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105
INVOKE_AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
EXECUTE_TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
PROCESS_DURATION: Final = "messaging.process.duration"
CONSUMED_MESSAGES: Final = "messaging.client.consumed.messages"
SENT_MESSAGES: Final = "messaging.client.sent.messages"

# Messaging

MESSAGING_SYSTEM: Final = "messaging.system"
REDIS: Final = "redis"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
SEND: Final = "send"
PROCESS: Final = "process"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_CONVERSATION_ID: Final = "messaging.message.conversation_id"
BATCH_MESSAGE_COUNT: Final = "messaging.batch.message_count"
CLIENT_ID: Final = "messaging.client.id"

# Errors and resources

ERROR_TYPE: Final = "error.type"
SERVICE_NAME: Final = "service.name"
HOST_ID: Final = "host.id"
SDK_NAME: Final = "telemetry.sdk.name"
SDK_LANGUAGE: Final = "telemetry.sdk.language"
SDK_VERSION: Final = "telemetry.sdk.version"

# Ours: names of spans

CONVERSATION_WAIT: Final = "conversation.wait"
QUEUE_WAIT: Final = "queue.wait"
RATELIMIT_WAIT: Final = "ratelimit.wait"
RETRY_WAIT: Final = "retry.wait"
GATHER: Final = "gather"

# Ours: attributes

JOB_ID: Final = "trunkline.job.id"
JOB_STATE: Final = "trunkline.job.state"
JOB_TURNS: Final = "trunkline.job.turns"
JOB_CALLS: Final = "trunkline.job.calls"
TENANT: Final = "trunkline.tenant"
TURN: Final = "trunkline.turn"
CALL_ID: Final = "trunkline.call.id"
CALL_OUTCOME: Final = "trunkline.call.outcome"
CALL_CACHED: Final = "trunkline.call.cached"
TOOL_VERSION: Final = "trunkline.tool.version"
POOL: Final = "trunkline.pool"
ATTEMPT: Final = "trunkline.attempt"
ATTEMPT_END: Final = "trunkline.attempt.end"
THROTTLED: Final = "trunkline.queue.throttled"
RUN_DURATION: Final = "trunkline.run.duration"
RESULT_SIZE: Final = "trunkline.result.size"
ERROR_MESSAGE: Final = "error.message"
