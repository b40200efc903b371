"""What tokens cost, from a TOML file; nothing is known without one.

    currency = "USD"

    [models."gpt-5-mini"]     # as jobs name it
    input = 0.25              # for a million tokens
    output = 2.0

The file is read at a process's start. A new price holds for what is counted from then on.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telemetry.errors import InvalidPrices

__all__ = ["Prices", "read_prices"]

_MILLION: Final = 1_000_000


class _Price(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    input: Annotated[float, Field(ge=0, le=1_000_000)]
    output: Annotated[float, Field(ge=0, le=1_000_000)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    models: dict[str, _Price]


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of tokens by model."""

    currency: str = "USD"
    models: Mapping[str, _Price] = field(default_factory=dict)

    def cost(self, model: str, *, input_tokens: int, output_tokens: int) -> float | None:
        """What a call of `model` cost; None if it has no price."""
        price = self.models.get(model)
        if price is None:
            return None
        return (price.input * input_tokens + price.output * output_tokens) / _MILLION


def read_prices(path: Path) -> Prices:
    """Reads the file.

    Raises:
        InvalidPrices: It cannot be read, or something in it does not fit; the message names the place.
    """
    try:
        content = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPrices(f"the price file {path} cannot be read: {error}; see TRUNKLINE_PRICES_FILE") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InvalidPrices(f"{path}, {place}: {problem['msg']}") from None
    return Prices(content.currency, content.models)
