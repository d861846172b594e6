"""Settings of a whole run."""

from typing import Any, Literal, get_args

from pydantic import field_validator

from relearn.config.audit import AuditConfig
from relearn.config.data import DataConfig
from relearn.config.evaluation import EvaluationConfig
from relearn.config.model import ModelConfig
from relearn.config.section import Section, Seed
from relearn.config.synthesis import SynthesisConfig
from relearn.config.training import MemorizeConfig, TrainingConfig


class ReportConfig(Section):
    """What the report shows.

    Attributes:
        redact: Leave all questions and answers out of logs and report; figures remain.
    """

    redact: bool = False


UNLEARNED = "unlearned"
"""Name of the run's main model; its training is `training`."""
Control = Literal["target", "base", "never_saw"]
CONTROLS: tuple[Control, ...] = get_args(Control)
NEVER_SAW: Control = "never_saw"
"""Names of the models that the trained ones are compared with: before unlearning, before the
target learned the forget set, and without ever learning it."""


class RunConfig(Section):
    """A whole run, from the forget set to the report.

    Attributes:
        seed: Fixes all randomness.
        extensions: Python files that register objectives, metrics, ... of your own
            (docs/extend.md). They are run as part of relearn.
        benchmark: By name (`relearn list benchmarks`): its sets, suite and models are taken where
            nothing else is set; `muse:books` is a variant of `muse`.
        after: Run folder of the deletion request before this one: its model forgets further, and
            goes on forgetting what earlier requests named (docs/sequential.md).
        memorize: First train a target model; the fields are those of `training`.
        baselines: Further trainings on the same data, by name; the fields are those of `training`.
        audit: Attack the models after the evaluation; `none` skips that.
    """

    seed: Seed = 0
    extensions: list[str] = []
    benchmark: str | None = None
    after: str | None = None
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    memorize: MemorizeConfig | None = None
    synthesis: SynthesisConfig = SynthesisConfig()
    training: TrainingConfig = TrainingConfig()
    baselines: dict[str, TrainingConfig] = {}
    evaluation: EvaluationConfig = EvaluationConfig()
    audit: AuditConfig | None = AuditConfig()
    report: ReportConfig = ReportConfig()

    @field_validator("audit", mode="before")
    @classmethod
    def _may_be_none(cls, given: Any) -> Any:
        return None if given == "none" else given

    @property
    def trainings(self) -> dict[str, TrainingConfig]:
        """Every training of the run by its model's name, the main one first."""
        return {UNLEARNED: self.training, **self.baselines}

    @field_validator("baselines")
    @classmethod
    def _has_names(cls, given: dict[str, TrainingConfig]) -> dict[str, TrainingConfig]:
        for name in given:
            if name in (*CONTROLS, UNLEARNED):
                raise ValueError(f"no baseline can be called {name!r}: another model has that name")
            if not name.isidentifier():
                raise ValueError(f"a baseline's name is letters, digits and _, not {name!r}")
        return given
