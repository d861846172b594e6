"""What relearn runs on: interpreter, machine, accelerators, packages."""

import os
import platform
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from relearn.base.extras import DISTRIBUTION

# `openai>=2.0; extra == "synthesis"`, as a package's metadata has it.
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*(?:;.*extra == [\"'](?P<extra>[\w-]+)[\"'])?")


def host() -> dict[str, Any]:
    """Return interpreter, platform, cores, memory and kind of accelerator (None without one)."""
    import torch

    present = torch.accelerator.is_available()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerator": str(torch.accelerator.current_accelerator()) if present else None,
    }


def accelerators() -> list[str]:
    """Return name and memory of each accelerator that torch sees."""
    import torch

    if not torch.cuda.is_available():
        found = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        )
        return [str(found)] if found else []
    cards = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [f"{card.name}, {card.total_memory / 2**30:.0f} GiB" for card in cards]


def packages() -> dict[str, dict[str, str | None]]:
    """Return the version of each package that relearn requires, by extra; "" is without one.

    A version is None where the package is missing.
    """
    try:
        requirements = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # a source tree on the path
        requirements = []
    return by_extra(requirements, installed)


def by_extra(
    requirements: Iterable[str], version_of: Callable[[str], str | None]
) -> dict[str, dict[str, str | None]]:
    """Sort requirements by their extra, with the version that `version_of` gives for each name."""
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    for requirement in requirements:
        if match := _REQUIREMENT.match(requirement):
            found[match["extra"] or ""][match["name"]] = version_of(match["name"])
    return dict(found)


def installed(name: str) -> str | None:
    """Return the version of an installed package; None if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def settings(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of variables that change what relearn does; values may be private."""
    prefixes = (
        "RELEARN_", "HF_HUB_OFFLINE", "HF_HOME", "HF_ENDPOINT", "HF_TOKEN", "CUDA_", "PYTORCH_",
        "OMP_", "ACCELERATE_",
    )  # fmt: skip
    return sorted(name for name in environment if name.startswith(prefixes))
