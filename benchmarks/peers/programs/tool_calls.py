"""A call of the model's, and the message that answers it."""

import json
from typing import Any

from benchmarks.conversation import look_up


def tool_message(call: dict[str, Any]) -> dict[str, Any]:
    """Runs the tool that is asked for; answers its message."""
    result = _FUNCTIONS[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
    return {"role": "tool", "tool_call_id": call["id"], "content": result}


_FUNCTIONS = {"look_up": look_up}
