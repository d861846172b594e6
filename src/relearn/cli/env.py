"""`relearn env`: what a bug report should say about the machine."""

from collections.abc import Mapping

import relearn
from relearn.base.environment import accelerators, host, packages, settings


def env() -> None:
    """Print versions, machine and packages for a bug report: no paths, no keys, no host name."""
    # Plain, not a table: it is there to be copied.
    print("\n".join(lines()))


def lines() -> list[str]:
    """Return what is printed: a line for each fact."""
    import torch

    from relearn.store.embedded import EMBEDDED, fetched_folder

    machine, found = host(), packages()
    required = found.pop("", {})
    extras = {name: each for name, each in found.items() if name != "dev"}
    fetched = [name for name in EMBEDDED if fetched_folder(name).is_dir()]
    return [
        f"relearn {relearn.__version__}",
        f"Python {machine['python']} on {machine['platform']}",
        f"{machine['cpus']} cores, {machine['memory_bytes'] / 2**30:.1f} GiB of memory",
        f"accelerators: {'; '.join(accelerators()) or 'none'}",
        f"torch built for: {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'no CUDA'}",
        f"environment variables set: {', '.join(settings()) or 'none'}",
        f"embedded models fetched: {', '.join(fetched) or 'none'}",
        f"packages: {_versions(required)}",
        *(f"extra {name}: {_versions(each)}" for name, each in sorted(extras.items())),
    ]


def _versions(of: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {number or 'missing'}" for name, number in of.items()) or "unknown"
