"""Models on a Hugging Face hub."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

# Code files are only ever run with `trust_remote_code`; pickled weights are not taken at all.
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py"]


def hub_snapshot(name: str, *, cached: bool = False) -> Path | None:
    """Return the local snapshot of the hub's model `name`; None if it could not be downloaded.

    Args:
        name: Such as `org/name`.
        cached: Ask no hub; None if it was not downloaded before.
    """
    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=_PATTERNS,
                ignore_patterns=["onnx/*", "openvino/*"],
                local_files_only=cached,
            )
        )
    except (HfHubHTTPError, HFValidationError, OSError):
        return None
