"""The target and the unlearned model side by side."""

from pathlib import Path

from relearn.config import load_config
from relearn.inference.generation import generate_answers
from relearn.models.loading import load_prompt_format
from relearn.models.place import load_for_inference
from relearn.run_folder import adapter_folder, target_folder


class Pair:
    """Two models of one run.

    Args:
        run: A finished run folder.
        trained: Name of the trained model.
    """

    def __init__(self, run: Path, trained: str) -> None:
        self.config = load_config(run / "config.yaml")
        target = target_folder(run)
        adapter = adapter_folder(run, trained)
        self.before = load_for_inference(target, self.config.model)
        self.after = load_for_inference(target, self.config.model, adapter)
        self.prompt_format = load_prompt_format(target, self.config.model)

    def answers(self, question: str) -> tuple[str, str]:
        """Return the target's and the trained model's answer."""
        evaluation = self.config.evaluation
        before, after = (
            generate_answers(
                model,
                self.prompt_format,
                [question],
                batch_size=1,
                max_new_tokens=evaluation.max_new_tokens,
                title=None,
            )[0]
            for model in (self.before, self.after)
        )
        return before, after
