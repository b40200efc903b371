"""The command line: `trunkline`.

The order in which a command line flows through these files:

1. `program` reads it, and turns whatever goes wrong into a paragraph and an exit code (`failures`);
2. a file per noun declares its commands: `submit`, `job`, `tools`, `up`, `demo`, `processes`;
3. `connection` finds the deployment; `job_request` and `moments` read what was typed;
4. `deployment` starts one on this machine, of `children` and a `stand_in_model`;
5. `following` listens to a job; `story` and `hops` make lines and times of its events, without any I/O;
6. `rendering` and `output` make text of values and write it.

Nothing heavy is imported before a command needs it, so that `--help` and completion are quick.
"""

import json
import sys
from pathlib import Path

from trunkline.shadowing import shadowed_packages, shadowing_message

__all__ = ["main"]

_BAD_INPUT = 2


def main() -> None:
    """Runs the command line of this process and exits."""
    shadowed = shadowed_packages([Path(folder) for folder in sys.path])
    if shadowed:
        message = shadowing_message(shadowed)
        if "--json" in sys.argv:
            message = json.dumps({"error": {"code": "shadowed_packages", "message": message}})
        print(message, file=sys.stderr)
        sys.exit(_BAD_INPUT)
    # Only now is it known that this finds our own packages.
    from trunkline.command_line.program import run

    sys.exit(run(sys.argv[1:]))
