"""Labels the pairs of a file: what `relearn judge entailment` does."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import content_hash, disk_errors, write_jsonl, write_text
from relearn.evaluation.judges.entailment import LABELS, entailment_judge

_TEXTS = ("premise", "hypothesis")
_MEND = "Give tab-separated columns, the first line naming them: premise, hypothesis, any others."


@private_files()
def label_file(pairs: Path, output: Path, judge: str) -> dict[str, int]:
    """Label the pairs in `pairs` and write them to `output`, an earlier one replaced.

    Finished batches are kept beside `output` until all are there, so that a killed job goes on.

    Args:
        pairs: Tab-separated; the first line names the columns, `premise` and `hypothesis` among
            them. Quotation marks are text.
        output: To be written: the columns of `pairs`, then `label` and the probabilities
            `entailment`, `neutral`, `contradiction`, 0 to 1. JSON lines if its name ends in
            `.jsonl`, else tab-separated. A column of `pairs` that has one of these names becomes
            `given_` and its name.
        judge: Name of the entailment judge.

    Returns:
        How many pairs got each label.

    Raises:
        UserError: the file is bad (names line and column), or there is no such judge.
    """
    rows = read_pairs(pairs)
    if output.is_dir():
        raise UserError(f"{output} is a folder.", "Name a file for --output.")
    if output.resolve() == pairs.resolve():
        raise UserError(f"{output} is the input.", "Name another file for --output.")
    texts = [(row["premise"], row["hypothesis"]) for row in rows]
    read = entailment_judge(judge).probabilities
    # Of this judge alone: what another one said is no part of the job.
    parts = output.with_name(f".{output.name}.{content_hash(judge)[:8]}")
    with disk_errors(output):
        parts.mkdir(parents=True, exist_ok=True)
    probabilities = read(texts, parts)
    ours = ("label", *LABELS)
    found: list[dict[str, Any]] = []
    for row, chances in zip(rows, probabilities, strict=True):
        given = {f"given_{name}" if name in ours else name: text for name, text in row.items()}
        values = {str(name): round(float(p), 6) for name, p in zip(LABELS, chances, strict=True)}
        found.append(given | {"label": LABELS[chances.argmax()]} | values)
    if output.suffix == ".jsonl":
        write_jsonl(output, found)
    else:
        lines = ["\t".join(found[0]), *("\t".join(map(str, row.values())) for row in found)]
        write_text(output, "\n".join(lines) + "\n")
    shutil.rmtree(parts)
    counts = Counter(str(row["label"]) for row in found)
    return {label: counts[label] for label in LABELS}


def read_pairs(path: Path) -> list[dict[str, str]]:
    """Return the rows of a tab-separated file of pairs, by column.

    Raises:
        UserError: see `label_file`.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"{path} can't be read: {reason}.", "Check --input.") from error
    header, *body = (line.removesuffix("\r") for line in lines)
    columns = [name.strip() for name in header.split("\t")]
    if missing := [name for name in _TEXTS if name not in columns]:
        raise UserError(f"{path}, line 1: no column {missing[0]!r}.", _MEND)
    if twice := [name for name, count in Counter(columns).items() if count > 1]:
        raise UserError(f"{path}, line 1: two columns are called {twice[0]!r}.", _MEND)
    rows = []
    for number, line in enumerate(body, 2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise UserError(
                f"{path}, line {number}: {len(fields)} columns, where line 1 has {len(columns)}.",
                _MEND,
            )
        row = dict(zip(columns, fields, strict=True))
        if empty := [name for name in _TEXTS if not row[name].strip()]:
            raise UserError(f"{path}, line {number}, {empty[0]}: it is empty.", _MEND)
        rows.append(row)
    if not rows:
        raise UserError(f"{path} has no pairs.", _MEND)
    return rows
