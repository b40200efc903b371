"""How a Restate server is started and told of its services: one node, its defaults, on loopback ports of its own."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.peers.installed import PeerUnavailable
from benchmarks.peers.postgresql import free_port

_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.1


class RestateServer:
    """What to start, and where it listens then.

    Args:
        folder: For its files.
    """

    def __init__(self, folder: Path) -> None:
        self.arguments: Sequence[str] = ["--base-dir", str(folder), "--no-logo"]
        ingress, admin, node = free_port(), free_port(), free_port()
        self.ingress_url = f"http://127.0.0.1:{ingress}"
        self._admin_url = f"http://127.0.0.1:{admin}"
        self.environment: Mapping[str, str] = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_LOG_FILTER": "warn",
            "DO_NOT_TRACK": "true",
        }

    def wait_until_it_answers(self, logs: Callable[[], str]) -> None:
        """Until its administration is there.

        Raises:
            PeerUnavailable: It is not.
        """
        self._until_done(Request(f"{self._admin_url}/health"), logs)

    def register(self, service_url: str, logs: Callable[[], str]) -> None:
        """Tells it where a process serves.

        Raises:
            PeerUnavailable: It does not accept that.
        """
        body = json.dumps({"uri": service_url}).encode()
        told = Request(f"{self._admin_url}/deployments", body, {"Content-Type": "application/json"})
        self._until_done(told, logs)

    def _until_done(self, request: Request, logs: Callable[[], str]) -> None:
        give_up_at = time.monotonic() + _PATIENCE_S
        while True:
            try:
                urlopen(request, timeout=_PATIENCE_S).close()
            except (URLError, ConnectionError) as error:
                if time.monotonic() > give_up_at:
                    raise PeerUnavailable(f"Restate: {request.full_url}: {error}\n{logs()}") from error
                time.sleep(_LOOK_AGAIN_S)
            else:
                return
