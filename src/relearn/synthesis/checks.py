"""What a synthesis needs, checked before anything is computed or sent."""

from relearn.config import SynthesisConfig
from relearn.synthesis.backends import BACKENDS
from relearn.synthesis.mixing import generic_records
from relearn.synthesis.prompts import Prompts


def check_synthesis(config: SynthesisConfig, seed: int) -> None:
    """Refuse settings of a synthesis that could only fail later; sends nothing, loads no model.

    Raises:
        UserError: an unknown backend, a missing key, model, prompt file or source of generic
            questions.
    """
    BACKENDS.named(config.backend)(config, seed, None)
    Prompts(config, seed).check()
    if config.generic_ratio:
        generic_records(config.generic)
