"""`relearn.audit`: whether what was unlearned can be brought back."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from transformers import PreTrainedTokenizerBase

from relearn.audit import pipeline
from relearn.audit.sources import from_options, from_run
from relearn.audit.summary import rate_of
from relearn.base.distributed import together
from relearn.base.errors import UserError
from relearn.base.notebook import html_table
from relearn.base.storage import read_json, read_jsonl
from relearn.base.workspace import InFolder, ResultFolder
from relearn.config import AuditConfig, Budget, load_config
from relearn.data.sources import Source
from relearn.models.given import GivenModel, given_name


class AuditResult(InFolder):
    """What an audit's folder says."""

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All figures; see `relearn.audit.summary.summarize`."""
        return dict(read_json(self.path / "summary.json"))

    @property
    def rates(self) -> dict[str, dict[str, float | None]]:
        """By model and attack, the share of facts told; of `collateral`, of facts kept."""
        return {
            model: {attack: rate_of(figures) for attack, figures in by_attack.items()}
            for model, by_attack in self.summary["models"].items()
        }

    @property
    def worst(self) -> dict[str, Any]:
        """By model, the attack that got most out beyond the control, and its figures."""
        return dict(self.summary["worst"])

    def attempts(self, attack: str) -> list[dict[str, Any]]:
        """Return every attempt of an attack on every model. Private and untrusted text.

        Raises:
            UserError: the attack was not made.
        """
        if attack not in next(iter(self.summary["models"].values())):
            raise UserError(f"the attack {attack!r} was not made.", f"See {self.path}.")
        return read_jsonl(self.path / f"{attack}.jsonl")

    def crossed(self, thresholds: Mapping[str, float]) -> list[str]:
        """Return a line for each threshold, by attack or `worst`, that an unlearned model crosses.

        Raises:
            UserError: the attack was not made, or the threshold is no share.
        """
        made = next(iter(self.summary["models"].values()))
        pipeline.check_thresholds(thresholds, made)
        return pipeline.crossed(self.summary, thresholds)

    def __repr__(self) -> str:
        worst = {name: each["attack"] for name, each in self.worst.items()}
        return f"AuditResult(worst attacks: {worst})"

    def _repr_html_(self) -> str:
        models = list(self.rates)
        rows = [
            [attack, *(_percent(self.rates[model][attack]) for model in models)]
            for attack in self.rates[models[0]]
        ]
        return html_table("facts told by", ["attack", *models], rows)


def audit(
    run: str | os.PathLike[str] | None = None,
    *,
    models: Mapping[str, GivenModel] | None = None,
    forget: Source | None = None,
    retain: Source | None = None,
    control: GivenModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    attacks: Sequence[str] = (),
    budget: Budget = "quick",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    output: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> AuditResult:
    """Try to bring what was unlearned back, as `relearn audit` does.

    Args:
        run: A run folder, whose models and records are taken.
        models: Models by name: with a run, further ones; without, all of them, where `target`,
            `base` and `never_saw` are the controls. One in memory is copied to a temporary folder.
        forget: Without a run: what is to be gone.
        retain: Without a run: what should have stayed.
        control: A model that never saw the forget set.
        tokenizer: Of models in memory; None means the one in the folder that each came from.
        attacks: Only these; none means all of the budget.
        budget: How hard to try: `quick`, `standard` or `thorough`.
        options: By attack, knobs in the place of the budget's: `{"sampling": {"samples": 50}}`;
            with a run, None means those of the run's own audit.
        output: Folder to write to; None means the run's, or without a run a temporary one, deleted
            together with the result.
        seed: Fixes what is random.

    Raises:
        UserError: bad settings, data, model or folder; nothing is computed in these cases.
    """
    if (run is None) == (forget is None):
        raise UserError("audit takes either a run folder or models and a forget set.", "Give one.")
    if run is None and not models:
        raise UserError("there is no model to attack.", "Give models={name: model}.")
    if run is not None and retain is not None:
        raise UserError("a run brings its own retain set.", "Leave retain out.")
    path = None if run is None else Path(run)
    wanted = audit_config(path, attacks, budget, options or {})
    folder = ResultFolder(path / "audit" if path and output is None else output)
    holder = ResultFolder(None)

    def place(name: str, model: GivenModel) -> str:
        return given_name(model, tokenizer, holder.path / name)

    named = [f"{name}={place(name, model)}" for name, model in (models or {}).items()]
    never_saw = None if control is None else place("never_saw", control)

    def work() -> None:
        if path is not None:
            subject = from_run(path, named, never_saw)
        else:
            further = [f"never_saw={never_saw}"] if never_saw else []
            assert forget is not None
            subject = from_options([*named, *further], forget, retain)
        pipeline.run_audit(subject, folder.path, wanted, seed)

    together(work)
    return AuditResult(folder)


def audit_config(
    run: Path | None,
    attacks: Sequence[str],
    budget: str,
    options: Mapping[str, Mapping[str, Any]],
) -> AuditConfig:
    """Return checked settings of an audit.

    Args:
        run: Whose own audit's knobs are taken where there are no `options`.
        attacks: See `audit`.
        budget: See `audit`.
        options: See `audit`.

    Raises:
        UserError: there is no such budget, attack or knob.
    """
    if budget not in get_args(Budget):
        known = ", ".join(get_args(Budget))
        raise UserError(f"there is no budget {budget!r}.", f"Known: {known}.")
    if run and not options:
        options = _options_of(run, attacks)
    wanted = AuditConfig.model_validate(
        {"budget": budget, "attacks": list(attacks), "options": options}
    )
    pipeline.chosen_attacks(wanted)
    return wanted


def _options_of(run: Path, attacks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the knobs that the run's own audit was made with."""
    if not (run / "config.yaml").is_file():
        return {}
    own = load_config(run / "config.yaml").audit
    options = own.options if own else {}
    return {name: values for name, values in options.items() if not attacks or name in attacks}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
