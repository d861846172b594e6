"""What a run's stages wrote, and whether it is still what they wrote."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relearn.base.errors import UserError
from relearn.base.storage import content_hash

_Status = tuple[int, int, int]


def statuses(folder: Path) -> dict[str, _Status]:
    """Return what changes where a file is written: by its place in a folder, links left out."""
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            file = Path(here) / name
            if not file.is_symlink():
                status = file.stat()
                place = str(file.relative_to(folder))
                found[place] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def written(folder: Path, before: Mapping[str, _Status]) -> dict[str, str]:
    """Return the SHA-256 of each file that was written since `statuses` told what there was."""
    after = statuses(folder)
    return {
        place: content_hash(folder / place)
        for place, status in sorted(after.items())
        if before.get(place) != status
    }


def check_whole(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse to build on files that a fault of the disk, or anybody, has changed.

    Args:
        folder: The run's.
        manifest: Its manifest: `files` of the stages, and what its target model was.

    Raises:
        UserError: a file, or the target model, is gone or is another one.
    """
    files = {
        place: sha
        for stage in manifest["stages"].values()
        for place, sha in stage.get("files", {}).items()
    }
    for place, sha in files.items():
        file = folder / place
        if not file.is_file() or content_hash(file) != sha:
            raise UserError(
                f"{file} is not what the run wrote.",
                "Restore it from a copy, or delete the run's folder and run again.",
            )
    model = manifest.get("model", {})
    target = Path(model.get("target", folder))
    if (
        "target_sha256" in model
        and target.is_dir()
        and content_hash(target) != model["target_sha256"]
    ):
        raise UserError(
            f"the target model {target} is not what it was when the run began.",
            "Restore it from a copy; or delete it, and the run's folder, and run again.",
        )
