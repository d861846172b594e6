"""Judges: what metrics ask about text. Each has an offline default, named in the configuration."""


def summaries() -> dict[str, str]:
    """Return one line about each judge, by the setting or option that chooses it."""
    from relearn.evaluation.judges.entailment import ENTAILMENT
    from relearn.evaluation.judges.entities import ENTITIES
    from relearn.evaluation.judges.votes import ASPECTS

    found = {"entities": ENTITIES.summaries(), "entailment": ENTAILMENT.summaries()}
    chosen = {f"evaluation.{kind}={n}": s for kind, of in found.items() for n, s in of.items()}
    return chosen | {f"judge rate --aspect {name}": text for name, text in ASPECTS.items()}
