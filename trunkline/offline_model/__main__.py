"""`python -m trunkline.offline_model`: the server as a process of its own.

Prints one line of JSON with its base URL when it is ready, and runs until it is interrupted or terminated.
"""

import argparse
import json
import signal
import threading
from collections.abc import Sequence
from datetime import timedelta

from trunkline.offline_model.completion import MODEL_NAME
from trunkline.offline_model.server import OfflineModelServer


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m trunkline.offline_model",
        description="An OpenAI-compatible server that follows fixed rules; it is no language model.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    parser.add_argument("--latency-ms", type=int, default=0, help="hold every completion back for so long (default: 0)")
    given = parser.parse_args(arguments)
    if given.latency_ms < 0:
        parser.error("--latency-ms must not be negative")

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with OfflineModelServer(
        host=given.host, port=given.port, latency=timedelta(milliseconds=given.latency_ms)
    ) as server:
        print(json.dumps({"base_url": server.base_url, "model": MODEL_NAME}), flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
