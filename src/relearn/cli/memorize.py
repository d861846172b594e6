"""`relearn memorize`: a target model to unlearn from."""

from typing import Annotated

import typer

from relearn.base.distributed import by_leader
from relearn.base.workspace import check_unused
from relearn.cli.common import Config, ModelName, Output, Overrides, console, settings_of


def memorize(
    data: Annotated[str, typer.Option(help="The full data set to learn.")],
    output: Output,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Fine-tune a model on a full data set, to have a target model to unlearn from."""
    settings = settings_of(config, {"model.name": model}, overrides)
    import shutil

    from relearn.base.private import private_files
    from relearn.base.storage import atomic_path
    from relearn.config import MemorizeConfig
    from relearn.data.sources import load_sets
    from relearn.models.checks import check_model
    from relearn.models.loading import model_folder, tokenizer_named
    from relearn.training.checks import check_fit, check_training
    from relearn.training.memorize import memorize as make_target

    training = settings.memorize or MemorizeConfig()
    check_training(training)
    by_leader(lambda: check_unused(output))
    sets, asked = load_sets({"full": data}, settings.data, settings.model, tokenizer_named)
    blank = check_model(model_folder(asked.name), asked, [training], sets, {}, 0)
    check_fit(training, blank)
    target = make_target(sets["full"], asked, training, settings.seed)

    @private_files()
    def copy() -> None:
        with atomic_path(output) as temporary:
            shutil.copytree(target, temporary)

    by_leader(copy)
    console.print(f"target model: {output}", soft_wrap=True, highlight=False)
