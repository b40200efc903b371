"""`python -m telemetry`."""

import sys

from messaging.errors import OperatorError
from telemetry.process import main

if __name__ == "__main__":
    try:
        main()
    except OperatorError as error:
        sys.exit(str(error))
