"""`python -m workers`."""

import sys

from messaging.errors import OperatorError
from workers.errors import WorkersError
from workers.process import main

if __name__ == "__main__":
    try:
        main()
    except (OperatorError, WorkersError) as error:
        sys.exit(str(error))
