"""The machine that figures are taken on: what it is, and how busy it is with other things."""

import os
import platform
import re
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_IDLE, _IO_WAIT, _GUEST = 3, 4, 8


def busy_s() -> float:
    """The CPU time that all processes of the machine have used since it started, seconds."""
    first = Path("/proc/stat").read_text("utf-8").partition("\n")[0]
    ticks = [int(word) for word in first.split()[1:]][:_GUEST]  # guests are counted in `user` already
    return (sum(ticks) - ticks[_IDLE] - ticks[_IO_WAIT]) / _TICKS_PER_S


def describe_machine() -> str:
    """Processors, system and Python, in a line."""
    description = Path("/proc/cpuinfo").read_text("utf-8")
    models = re.findall(r"^model name\s*: (.*)$", description, re.MULTILINE)
    processors = f"{len(models)} x {models[0]}" if models else platform.machine()
    return f"{processors}; {platform.system()} {platform.release()}; Python {platform.python_version()}"
