"""The tool of our worker: takes no time."""

from typing import Annotated

from trunkline import tool


@tool(pool="benchmark", effect="read")
def look_up(place: Annotated[str, "City to look up"], days: Annotated[int, "How many days ahead, 1 to 7"] = 1) -> str:
    """Look up the weather forecast of a city."""
    return f"{place}: mild and dry for {days} days"
