"""relearn's side of the race: what a script of its user would do, from nothing to a trained model.

    python benchmarks/relearn_side.py JSON

It imports only what training needs, because the race counts the time of imports too.
"""

import json
import sys
from pathlib import Path

from relearn.config import ColumnsConfig, LoraConfig, ModelConfig, TrainingConfig
from relearn.data.sources import load_records
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model, load_tokenizer
from relearn.training.engine import train


def main() -> None:
    """Train as the JSON in the first argument says."""
    job = json.loads(sys.argv[1])
    folder, model_config = Path(job["model"]), ModelConfig()
    tokenizer = load_tokenizer(folder, model_config)
    prompts = PromptFormat(tokenizer)
    forget, retain = (
        [prompts.encode(r.question, r.answer) for r in load_records(file, ColumnsConfig(), file)]
        for file in (job["forget"], job["retain"])
    )
    # No dropout, as in full fine-tuning.
    config = TrainingConfig(lora=LoraConfig(rank=32, alpha=32, dropout=0.0), **job["training"])
    model = load_model(folder, model_config)
    train(model, tokenizer, forget, retain, config, Path(job["output"]), seed=0, title="")


if __name__ == "__main__":
    main()
