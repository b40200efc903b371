"""What the reference job says: the question, the tool, the answer. The same for all contenders.

This module imports nothing but the standard library: it is read by processes that have only a peer's packages.
"""

from typing import Any, Final

QUESTION: Final = "What is the weather like in Lisbon, Porto, Faro and Braga in the next three days?"
ANSWER: Final = "It is mild in all four places, and dry in two."
MODEL: Final = "benchmark-model"
TOOLS: Final[list[dict[str, Any]]] = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Look up the weather forecast of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "City to look up"},
                    "days": {"type": "integer", "description": "How many days ahead, 1 to 7", "default": 1},
                },
                "required": ["place"],
                "additionalProperties": False,
            },
        },
    }
]


def look_up(place: str, days: int = 1) -> str:
    """The tool as whoever writes by hand has it; takes no time."""
    return f"{place}: mild and dry for {days} days"
