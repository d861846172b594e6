"""What a training's settings ask for, checked before anything is computed."""

from relearn.config import TrainingConfig
from relearn.models.loading import check_quantization
from relearn.objectives import OBJECTIVES
from relearn.training.trainer import check_kernels, check_trackers
from relearn.training.wrappers import WRAPPERS


def check_training(config: TrainingConfig) -> None:
    """Refuse settings of a training that could only fail later.

    Raises:
        UserError: an unknown objective, wrapper, tracker or option; an option out of its range; a
            package or device that a setting needs and this machine lacks.
    """
    OBJECTIVES.named(config.objective).options.check(config.objective_options)
    if config.wrapper:
        WRAPPERS.named(config.wrapper).options.check(config.wrapper_options)
    check_trackers(config.report_to)
    check_kernels(config.liger_kernels)
    if config.method == "qlora":
        check_quantization()
