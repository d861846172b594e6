"""Language models and their tokenizers, by name: embedded, hub, local folder or GGUF file."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from relearn.base.errors import UserError
from relearn.base.extras import need
from relearn.base.progress import note
from relearn.base.storage import atomic_path, content_hash, read_json
from relearn.config import ModelConfig
from relearn.data.tokenization import PromptFormat
from relearn.store.cache import cache_folder, cache_lock
from relearn.store.embedded import EMBEDDED, embedded_folder, fetched_folder
from relearn.store.gguf import convert_gguf
from relearn.store.hub import hub_snapshot

# On a CPU the kernel for each shape of a product is kept, half a megabyte each, 1024 of them by
# default. As batches differ in length few are met again; one batch needs at most a hundred.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")


def model_folder(name: str) -> Path:
    """Return the local folder of the model `name`, fetched or converted at first use.

    Args:
        name: An embedded model, a local folder, a `.gguf` file or a hub name.

    Raises:
        UserError: there is no such model, or it could not be loaded.
    """
    if name in EMBEDDED:
        return embedded_folder(name)
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return _converted(path)
    folder = path if path.exists() else hub_snapshot(name)
    if folder:
        if (folder / "config.json").is_file():
            return folder
        if (folder / "adapter_config.json").is_file():
            return _merged(folder)
        raise UserError(f"model {name} is no model: it has no config.json.", "Check --model.")
    raise UserError(
        f"model {name!r} was not found: no embedded model, local folder or .gguf file, and no hub "
        "has it.",
        f"Embedded: {', '.join(EMBEDDED)}.",
    )


def folder_at_hand(name: str) -> Path | None:
    """Return the folder of the model `name` if nothing must be fetched, converted or merged."""
    if name in EMBEDDED:
        folder: Path | None = fetched_folder(name)
    else:
        path = Path(name).expanduser()
        folder = path if path.exists() else hub_snapshot(name, cached=True)
    return folder if folder and (folder / "config.json").is_file() else None


def _converted(file: Path) -> Path:
    """Return the transformers folder converted from the GGUF `file`, cached by content."""
    folder = cache_folder() / "gguf" / content_hash(file)[:16]
    with cache_lock(folder):
        if not folder.is_dir():
            with atomic_path(folder) as temporary:
                convert_gguf(file, temporary)
    return folder


def _merged(adapter: Path) -> Path:
    """Return the folder of an adapter's base model with the adapter in it, cached by content."""
    from relearn.models.merging import write_merged

    base_name = str(read_json(adapter / "adapter_config.json").get("base_model_name_or_path"))
    try:
        base = model_folder(base_name)
    except UserError as error:
        raise UserError(
            f"{adapter} is a LoRA adapter of {base_name}, which could not be found.",
            "Merge it into its base model first, or correct base_model_name_or_path in its "
            "adapter_config.json.",
        ) from error
    folder = cache_folder() / "merged" / content_hash(base, adapter)[:16]
    with cache_lock(folder):
        if not folder.is_dir():
            note(f"merging the adapter {adapter} into {base_name}, once")
            own = (adapter / "tokenizer_config.json").is_file()
            with atomic_path(folder) as temporary:
                write_merged(base, adapter, temporary, ModelConfig(), adapter if own else base)
    return folder


def load_tokenizer(folder: Path, config: ModelConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of the model in `folder`, with a pad token.

    Raises:
        UserError: there is none that transformers can load.
    """
    hint = "Copy the tokenizer files of its base model into it."
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=config.trust_remote_code
        )
    except Exception as error:  # damaged and missing files fail in many ways
        raise UserError(f"model {folder} has no tokenizer that can be loaded.", hint) from error
    # From missing files transformers makes one that knows nothing but special tokens.
    if len(tokenizer) <= len(tokenizer.added_tokens_decoder):
        raise UserError(f"model {folder} has a tokenizer without any words.", hint)
    if tokenizer.pad_token is None:
        # Any token does: padding is never attended to.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def tokenizer_named(config: ModelConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of the model that the configuration names, which may be fetched."""
    return load_tokenizer(model_folder(config.name), config)


def load_prompt_format(folder: Path, config: ModelConfig) -> PromptFormat:
    """Return how the model in `folder` is asked, and where its answers end."""
    tokenizer = load_tokenizer(folder, config)
    return PromptFormat(tokenizer, config.system, config.prompt, _stops(folder, config))


def _stops(folder: Path, config: ModelConfig) -> list[int]:
    """Return the token ids at which the model in `folder` is to stop."""
    try:
        ends = GenerationConfig.from_pretrained(folder).eos_token_id
    except OSError:  # it has no generation settings
        ends = getattr(load_config_of(folder, config).get_text_config(), "eos_token_id", None)
    return [] if ends is None else ends if isinstance(ends, list) else [ends]


@contextmanager
def load_errors(problem: str, hint: str) -> Iterator[None]:
    """Turn what loading a model may raise into an error that says what could not be loaded.

    Raises:
        UserError: `problem` with the reason, and `hint`.
    """
    try:
        yield
    except (UserError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{problem}: {reason}", hint) from error


def position_limit(config: PreTrainedConfig) -> float:
    """Return how many tokens the model can read at once; infinity where it sets no limit."""
    text = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(limit := getattr(text, name, None), int) and limit > 0:
            return limit
    return math.inf


def check_quantization() -> None:
    """Refuse 4-bit weights where there is nothing to compute with them.

    Raises:
        UserError: bitsandbytes is missing, or can't be imported.
    """
    need("bitsandbytes", "training.method=qlora", "take the method lora")
    try:
        import bitsandbytes  # noqa: F401
    except Exception as error:  # it may fail on its native library in ways of its own
        raise UserError(
            "training.method: qlora needs the package bitsandbytes, which can't be imported here.",
            "Install a version for this machine, or take the method lora.",
        ) from error


def _four_bits(dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return QLoRA's quantization: double-quantized 4-bit NormalFloat (arXiv 2305.14314)."""
    check_quantization()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _keep_gradients(model: PreTrainedModel) -> None:
    """Keep 4-bit layers on a CPU from packing their weights for inference at the first pass.

    Training begins with a pass without gradients, over the reference's rows; a packed layer would
    give no gradient by its input ever after.
    """
    layer: Any
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def best_device() -> torch.device:
    """Return the accelerator, or the CPU where none is at hand, whatever torch was built for."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return device or torch.device("cpu")


def load_config_of(folder: Path, config: ModelConfig) -> PreTrainedConfig:
    """Load the architecture of the model in `folder`.

    Raises:
        UserError: its config.json is damaged, or the model doesn't answer prompts.
    """
    try:
        found = AutoConfig.from_pretrained(folder, trust_remote_code=config.trust_remote_code)
    except Exception as error:
        raise _cannot_load(folder, error) from error
    name = next(iter(found.architectures or []), "")
    other = re.search(r"For(?!CausalLM|ConditionalGeneration)[A-Z]\w+$", name)
    if found.is_encoder_decoder or other:
        kind = name or "an encoder-decoder model"
        raise UserError(
            f"model {folder} is {kind}: it does not continue a prompt.",
            "relearn takes decoder-only language models (…ForCausalLM).",
        )
    return found


def _cannot_load(folder: Path, error: Exception) -> UserError:
    reason = str(error).strip().split("\n")[0].rstrip(".")
    if "ignore_mismatched_sizes" in reason:
        reason = "its weights have other shapes than its config.json says"
    return UserError(f"model {folder} can't be loaded: {reason}.", "Check --model and its files.")


def _load(folder: Path, config: ModelConfig, **options: Any) -> PreTrainedModel:
    """Load a model whose every weight comes from its files."""
    load_config_of(folder, config)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=config.dtype,
            trust_remote_code=config.trust_remote_code,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # damaged files fail in many ways
        raise _cannot_load(folder, error) from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"model {folder} lacks {len(missing)} of its weights, such as {missing[0]}.",
            "Check that all its files are there, and that it is a causal language model.",
        )
    return cast(PreTrainedModel, model)


def load_blank_model(folder: Path, config: ModelConfig) -> PreTrainedModel:
    """Load the model in `folder` without its weights, on the meta device, all its files checked.

    Raises:
        UserError: as `load_model`.
    """
    return _load(folder, config, device_map="meta")


def load_model(folder: Path, config: ModelConfig, *, quantized: bool = False) -> PreTrainedModel:
    """Load the language model in `folder` for inference on the best device there is.

    Args:
        folder: Of the model.
        config: How it is loaded.
        quantized: Keep the weights of linear layers in 4 bits, to train an adapter on.

    Raises:
        UserError: the folder holds no causal language model that transformers can load.
    """
    device = best_device()
    model = _load(
        folder,
        config,
        # On a CPU the backward pass of fused attention is slower than the plain one.
        attn_implementation="eager" if device.type == "cpu" else None,
        quantization_config=_four_bits(torch.bfloat16) if quantized else None,
    )
    if quantized:
        _keep_gradients(model)
    else:
        model.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
    return model.eval()
