"""The target model: a model fine-tuned on the full set, so that there is something to forget."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import relearn
from relearn.base.distributed import by_leader, is_leader, leaders
from relearn.base.private import private_files
from relearn.base.storage import atomic_path, content_hash
from relearn.config import MemorizeConfig, ModelConfig
from relearn.data.records import Record
from relearn.models.loading import (
    load_config_of,
    load_model,
    load_prompt_format,
    model_folder,
    position_limit,
)
from relearn.models.merging import write_merged
from relearn.store.cache import cache_folder, cache_lock
from relearn.training.answers import encode_rows
from relearn.training.engine import train


def memorize(
    records: Sequence[Record],
    model_config: ModelConfig,
    config: MemorizeConfig,
    seed: int,
    *,
    title: str = "memorizing",
) -> Path:
    """Fine-tune the model on `records` and return the folder of the merged model.

    It is cached by the content of everything that it depends on, so that it is made once.

    Args:
        records: What it learns.
        model_config: The model, and how it is asked.
        config: The training.
        seed: Where `config` has none of its own.
        title: Shown beside the progress bar.

    Source: arXiv 2502.11190: the vanilla model is trained on the full set with LoRA.
    """
    base = model_folder(model_config.name)
    seed = seed if config.seed is None else config.seed
    folder = target_place(records, model_config, config, seed)
    # The leader's lock is everybody's.
    with cache_lock(folder) if is_leader() else private_files():
        if not leaders(folder.is_dir()):
            _memorize(records, base, model_config, config, seed, folder, title)
    return folder


def target_place(
    records: Sequence[Record], model_config: ModelConfig, config: MemorizeConfig, seed: int
) -> Path:
    """Return the folder in the cache where `memorize` puts its model; it need not exist."""
    base = model_folder(model_config.name)
    key = content_hash(
        relearn.__version__,
        base,
        ((record.question, record.answer, record.continues) for record in records),
        model_config.model_dump(mode="json", exclude={"name"}),
        config.model_dump(mode="json", exclude={"seed"}),
        seed if config.seed is None else config.seed,
    )
    return cache_folder() / "targets" / key[:16]


def _memorize(
    records: Sequence[Record],
    base: Path,
    model_config: ModelConfig,
    config: MemorizeConfig,
    seed: int,
    folder: Path,
    title: str,
) -> None:
    prompt_format = load_prompt_format(base, model_config)
    positions = position_limit(load_config_of(base, model_config))
    examples = encode_rows(records, prompt_format, config.max_length, positions)
    adapter = folder.with_name(f"{folder.name}.adapter")
    if not leaders(adapter.is_dir()):
        model = load_model(base, model_config, quantized=config.method == "qlora")
        train(model, prompt_format.tokenizer, examples, [], config, adapter, seed, title=title)

    def merge() -> None:
        with atomic_path(folder) as temporary:
            write_merged(base, adapter, temporary, model_config)
        shutil.rmtree(adapter)

    by_leader(merge)
