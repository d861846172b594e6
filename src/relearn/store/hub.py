"""Models on a Hugging Face hub."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
)

from relearn.base.errors import UserError

# Code files are only ever run with `trust_remote_code`; pickled weights are not taken at all.
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py"]
# What is uploaded: weights, configuration, tokenizer and card. Whatever else a folder holds stays.
_PUSHED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md"]


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


class HubRepository:
    """A model's repository on a hub, to be made and filled.

    Args:
        repo_id: `org/name`.
        token: Of the hub; None means the one that is logged in.
    """

    def __init__(self, repo_id: str, token: str | None = None) -> None:
        self._api = HfApi(token=token)
        self._id = repo_id

    def make(self, private: bool | None) -> str:
        """Make it unless it is there, and return its address.

        Raises:
            UserError: the name is none, the hub refuses, or it can't be reached.
        """
        with self._understood():
            made = self._api.create_repo(self._id, private=private, exist_ok=True)
        self._id = made.repo_id
        return str(made)

    def upload(self, folder: Path) -> None:
        """Upload the model in `folder`, and no file that is not part of one.

        Raises:
            UserError: the hub refuses, or it can't be reached.
        """
        with self._understood():
            self._api.upload_folder(
                repo_id=self._id,
                folder_path=folder,
                allow_patterns=_PUSHED,
                commit_message="Unlearned with relearn",
            )

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what a hub answers into a `UserError`."""
        try:
            yield
        except HFValidationError as error:
            raise UserError(f"{self._id!r} is no repository's name.", "Write org/name.") from error
        except (LocalTokenNotFoundError, HfHubHTTPError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = f"answers HTTP {status}" if status else "asks for a token"
            raise UserError(
                f"the hub {reason} for {self._id}.",
                "Log in with `hf auth login` or set HF_TOKEN, to a token that may write there.",
            ) from error
        except Exception as error:  # the HTTP library's own, another one in each version
            raise UserError(
                f"the hub can't be reached for {self._id} ({type(error).__name__}).",
                "Check the network and HF_ENDPOINT.",
            ) from error
