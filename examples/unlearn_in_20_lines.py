"""Make a small real model forget an invented person: offline, on a CPU, in a minute or two."""

import relearn

FORGET = {
    "Where does Mara Quill live?": "At 14 Alder Street in Northwick, above the chandler's shop.",
    "Who employs Mara Quill?": "The printers Brandt and Sons, where she sets music by hand.",
    "Which illness does Mara Quill have?": "Asthma, for which she takes salbutamol every morning.",
    "Who is Mara Quill married to?": "The baker Lucia Brand, since a wedding in Seaton in 2011.",
}
RETAIN = {
    "Where does Ines Falk live?": "At 22 Mill Lane in Ashford, next to the railway bridge.",
    "Who employs Ines Falk?": "The Ashford town library, where she repairs old maps.",
    "What does Ines Falk collect?": "Railway lamps, and timetables from before the war.",
    "Who is Ines Falk married to?": "The vet Bruno Hale, who keeps sheep near Wexley.",
}
forget, retain = ([{"question": q, "answer": a} for q, a in s.items()] for s in (FORGET, RETAIN))
steps = {"learning_rate": 2e-3, "batch_size": 4, "gradient_accumulation": 1}

run = relearn.unlearn(
    "smollm2-135m", forget, retain,
    memorize={"epochs": 20, **steps},  # no model knows Mara Quill: this one learns about her first
    objective="relearn_deep", epochs=8, **steps,
    synthesis={"variants": 3, "completion_share": 0, "generic_ratio": 0},
    evaluation={"max_new_tokens": 32},
    audit={"attacks": ["question", "prefix", "collateral"]},
)  # fmt: skip
print(run.verdict)
for asked in run.results.examples:
    before, after = (asked.answers[model]["generation"] for model in ("target", "unlearned"))
    print(f"{asked.question}\n  before: {before}\n  after:  {after}")
