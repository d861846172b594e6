"""Where the weights changed: size and effective rank of the update of every matrix."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import torch
from peft import LoraConfig
from safetensors import safe_open
from torch import Tensor

from relearn.base.distributed import shared_out

_LAYER = re.compile(r"\.(\d+)\.")
_COLUMNS = ["layer", "module", "norm", "relative_norm", "effective_rank"]


class Checkpoint:
    """The tensors of a model folder, read one at a time.

    Args:
        folder: With `.safetensors` files.
    """

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as opened:
                self._files |= dict.fromkeys(opened.keys(), file)

    def matrices(self) -> list[str]:
        """Return the names of the tensors that belong to a numbered layer."""
        return [name for name in self._files if _LAYER.search(name)]

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def tensor(self, name: str) -> Tensor:
        """Read one tensor, as float32."""
        with ExitStack() as stack:
            opened = stack.enter_context(safe_open(self._files[name], framework="pt"))
            return opened.get_tensor(name).float()


def full_changes(before: Path, after: Path) -> pd.DataFrame:
    """Compare two model folders, matrix by matrix; processes share the matrices.

    Returns:
        A row for each matrix of a layer that both have: layer, module, `norm` (Frobenius norm of
        the difference), `relative_norm` (that over the norm before) and `effective_rank`, NaN
        where nothing changed.
    """
    old, new = Checkpoint(before), Checkpoint(after)

    def compared(name: str) -> list[dict[str, float | int | str]]:
        weight, changed = old.tensor(name), new.tensor(name)
        alike = weight.dim() == 2 and weight.shape == changed.shape
        return [_row(name, weight, changed - weight)] if alike else []

    found = shared_out(compared, [name for name in old.matrices() if name in new])
    return pd.DataFrame([row for rows in found for row in rows], columns=_COLUMNS)


def adapter_changes(before: Path, adapter: Path) -> pd.DataFrame:
    """Return what a LoRA adapter adds to a model folder, in the form of `full_changes`.

    From the two factors, so it costs next to nothing and has no rounding in it.
    """
    old = Checkpoint(before)
    rows = [
        _row(name, old.tensor(name), core) for name, core in _lora_cores(adapter) if name in old
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _lora_cores(adapter: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield, for each adapted weight, a small matrix with the singular values of its update."""
    config = LoraConfig.from_pretrained(str(adapter))
    scale = config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)
    tensors = Checkpoint(adapter)
    for name in tensors.matrices():
        if not name.endswith(".lora_A.weight"):
            continue
        left = tensors.tensor(name.replace("lora_A", "lora_B"))
        right = tensors.tensor(name)
        core = torch.linalg.qr(left).R @ torch.linalg.qr(right.T).R.T
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        yield f"{module}.weight", scale * core


def effective_rank(update: Tensor) -> float:
    """Return the participation ratio of the squared singular values of a matrix, 1 to its rank.

    (sum s^2)^2 / sum s^4: how many directions share the update evenly. No spectrum is computed.

    Source: Gao et al. 2017, A Theory of Multineuronal Dimensionality, Dynamics and Measurement.
    """
    small = update if update.shape[0] <= update.shape[1] else update.T
    gram = small @ small.T
    total = gram.trace().item()
    return total**2 / gram.square().sum().item() if total > 0 else float("nan")


def _row(name: str, weight: Tensor, update: Tensor) -> dict[str, float | int | str]:
    found = _LAYER.search(name)
    assert found
    norm = update.norm().item()
    return {
        "layer": int(found[1]),
        "module": name[found.end() :].removesuffix(".weight"),
        "norm": norm,
        "relative_norm": norm / max(weight.norm().item(), 1e-12),
        "effective_rank": effective_rank(update),
    }
