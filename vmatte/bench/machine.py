"""Where figures come from: machine, versions, date."""

import os
import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("av", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino", "opencv-python")


def origin() -> dict[str, Any]:
    """Return date, machine, cores, system, versions, and how busy the machine is."""
    from vmatte import __version__

    versions = {"vmatte": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    memory = _memory()
    cores = f"{os.cpu_count()} cores"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": ", ".join([_processor(), cores, *([f"{memory} GB"] if memory else [])]),
        "system": f"{platform.system()} {platform.release()}",
        "load": load(),
        "versions": versions,
    }


def load() -> float | None:
    """Return how many processes want a core, over the last minute; None where nobody counts."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
