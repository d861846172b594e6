"""What tests of analyses share: little to look at, and two small sets."""

from pathlib import Path

from relearn.analysis.analyze import AnalysisSettings
from relearn.base.storage import write_jsonl

SMALL = AnalysisSettings(prompts=3, keys=2, traced=2, rows=2, max_new_tokens=6)


def write_sets(folder: Path) -> None:
    """Write `forget.jsonl` and `retain.jsonl`."""
    people = ("Li Wei", "Evelyn Smith", "Chloe Dubois", "Tomasz Nowak")
    towns = ("Beijing", "Edinburgh", "Lyon", "Gdansk")
    write_jsonl(
        folder / "forget.jsonl",
        [
            {"question": f"Where does {person} live?", "answer": f"{person} lives in {town} now."}
            for person, town in zip(people, towns, strict=True)
        ],
    )
    write_jsonl(
        folder / "retain.jsonl",
        [
            {"question": f"What is {thing} made of?", "answer": f"Much of it is made of {stuff}."}
            for thing, stuff in (("glass", "sand"), ("bread", "flour"), ("steel", "iron"))
        ],
    )
