"""Dramatiq's own tests, with our broker in the place of its Redis broker and of its in-memory one.

They run in processes of their own, in which `inside/` has replaced both brokers and the port that they expect Redis on.
What does not apply is listed in `not_applicable.toml`.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import redis

from messaging.embedded.embedded_redis import EmbeddedRedis
from tests.dramatiq_suite.sdist import NoSourceDistribution, dramatiq_tests

HERE: Final = Path(__file__).parent
LOCK: Final = HERE.parents[1] / "requirements.lock"
OPTIONS: Final = "[pytest]\naddopts = -q --tb=short -p no:cacheprovider -p no:asyncio -p no:cloudcoil --timeout=60\n"
COMMAND: Final = ("test_cli.py",)
"""What starts processes, and mostly waits for them; so it runs beside the rest."""

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Run:
    """A part of the tests, under way."""

    process: "subprocess.Popen[str]"
    folder: Path

    def outcomes(self) -> Counter[str]:
        """How many tests passed, and how many are listed as not applicable.

        Raises:
            AssertionError: Any other outcome, with what the run wrote.
        """
        output, _ = self.process.communicate()
        assert self.process.returncode == 0, output[-20_000:]
        cases = ElementTree.parse(self.folder / "report.xml").iter("testcase")
        listed = tomllib.loads((HERE / "not_applicable.toml").read_text("utf-8"))
        reasons = {*listed["tests"].values(), *listed["by_chance"].values()}
        outcomes = Counter("passed" if not len(case) else case[0].get("message", "") for case in cases)
        unexpected = outcomes.keys() - reasons - {"passed"}
        assert not unexpected, f"skipped for other reasons: {unexpected}"
        return Counter({"passed": outcomes["passed"], "not applicable": outcomes.total() - outcomes["passed"]})


@pytest.fixture(scope="module")
def test_files(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The files of Dramatiq's tests that apply, by name."""
    try:
        files = dramatiq_tests(request.config.cache.mkdir("dramatiq_suite"), lock=LOCK)
    except NoSourceDistribution as error:
        pytest.skip(f"the source of Dramatiq {version('dramatiq')}, with its tests, is needed: {error}")
    other = tomllib.loads((HERE / "not_applicable.toml").read_text("utf-8"))["files"]
    assert not other.keys() - files.keys(), "not_applicable.toml names files that Dramatiq does not have"
    return {name: text for name, text in files.items() if name not in other}


@pytest.fixture(scope="module")
def runs(test_files: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Run]]:
    """Both parts, started together, each with a Redis of its own."""
    parts = {"the command": COMMAND, "all else": tuple(test_files.keys() - set(COMMAND))}
    with ExitStack() as stack:
        runs = {}
        for part, names in parts.items():
            server = stack.enter_context(EmbeddedRedis(tmp_path_factory.mktemp("redis"), port=0, fsync="no"))
            with redis.Redis.from_url(server.url) as client:
                client.config_set("requirepass", "")  # what Dramatiq's tests expect on port 6379 has none
            folder = tmp_path_factory.mktemp("suite")
            _write(folder, {name: test_files[name] for name in names})
            process = _start(folder, port=urlsplit(server.url).port or 0)
            stack.callback(process.wait)
            stack.callback(process.kill)
            runs[part] = Run(process, folder)
        yield runs


def _write(folder: Path, files: Mapping[str, str]) -> None:
    package = folder / "tests"
    package.mkdir()
    for name, text in files.items():
        (package / name).write_text(text)
    for ours, theirs in (("__init__.py", "__init__.py"), ("common.py", "common.py"), ("fixtures.py", "conftest.py")):
        shutil.copy(HERE / "inside" / ours, package / theirs)
    shutil.copy(HERE / "not_applicable.toml", package)
    (folder / "pytest.ini").write_text(OPTIONS)


def _start(folder: Path, *, port: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--junit-xml=report.xml", "tests"],
        cwd=folder,
        env={
            **os.environ,
            # The command, told to reload, looks for its Python there.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "TRUNKLINE_SUITE_REDIS_PORT": str(port),
            "dramatiq_restart_delay": "100",
            "dramatiq_worker_timeout": "100",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("part", ["the command", "all else"])
def test_dramatiqs_own_tests_pass_on_our_broker(
    runs: Mapping[str, Run], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = runs[part].outcomes()
    assert outcomes["passed"]
    with capsys.disabled():
        counts = f"{outcomes['passed']} passed, {outcomes['not applicable']} do not apply"
        print(f"\nDramatiq {version('dramatiq')}'s own tests, {part}: {counts}")
