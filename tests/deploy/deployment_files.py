"""The files of `deploy/`, read as their tools read them."""

from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy"


def read_yaml(path: Path) -> Any:
    """One document."""
    return yaml.safe_load(path.read_text())
