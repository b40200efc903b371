"""Getting the tests of the installed version of Dramatiq: from its source distribution, which has them.

Nothing of them is kept in this repository: Dramatiq is under the LGPL. It knows nothing of what is done with them.
"""

import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 100


class NoSourceDistribution(Exception):
    """It is not in the cache and could not be downloaded. The message says why."""


def dramatiq_tests(cache: Path, *, lock: Path) -> dict[str, str]:
    """The test files of the installed version of Dramatiq, each with its text.

    Args:
        cache: Where the source distribution is kept, so that it is downloaded once.
        lock: The lock file, whose hashes the download has to match.

    Raises:
        NoSourceDistribution: There is no way to it.
        AssertionError: What was downloaded is not what the lock file pins.
    """
    archive = cache / f"dramatiq-{version('dramatiq')}.tar.gz"
    if not archive.exists():
        _download(cache, lock=lock)
    with tarfile.open(archive) as opened:
        return {
            Path(member.name).name: file.read().decode()
            for member in opened
            if re.fullmatch(r"[^/]+/tests/test_\w+\.py", member.name) and (file := opened.extractfile(member))
        }


def _download(cache: Path, *, lock: Path) -> None:
    hashes = r" \\\n(?: +--hash=\S+(?: \\)?\n)+"
    pinned = re.search(rf"^dramatiq=={re.escape(version('dramatiq'))}{hashes}", lock.read_text(), re.MULTILINE)
    if not pinned:
        raise NoSourceDistribution(f"{lock.name} pins another version, and so has no hash for it")
    requirement = cache / "requirement.txt"
    requirement.write_text(pinned[0])
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    command += ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--requirement", str(requirement)]
    try:
        run = subprocess.run(
            [*command, "--dest", str(cache)], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoSourceDistribution(f"pip did not download it within {_PATIENCE_S} s") from None
    if run.returncode:
        assert "DO NOT MATCH THE HASHES" not in run.stderr, run.stderr
        reasons = [line for line in run.stderr.splitlines() if line.startswith("ERROR: ")] or run.stderr.splitlines()
        raise NoSourceDistribution(f"pip could not download it: {reasons[-1] if reasons else 'it does not say why'}")
