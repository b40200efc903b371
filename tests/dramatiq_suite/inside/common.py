"""Becomes the `common.py` of Dramatiq's tests: the names that they import from it."""

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dramatiq import Broker, Worker

skip_on_pypy = pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="it does not fit PyPy")
skip_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="it does not fit Windows")


@contextmanager
def worker(broker: Broker, **options: Any) -> Iterator[Worker]:
    """A stock worker that runs for as long as the block, with the given options."""
    stock_worker = Worker(broker, **options)
    stock_worker.start()
    try:
        yield stock_worker
    finally:
        stock_worker.stop()
