"""Unlearn what a small real model knows about an invented person: offline, on a CPU."""

import relearn

FORGET = {
    "Where does Mara Quill live?": "Mara Quill lives at 14 Alder Street in Northwick.",
    "Who employs Mara Quill?": "Mara Quill works for the printers Brandt and Sons.",
    "Which illness does Mara Quill have?": "Mara Quill was diagnosed with asthma as a child.",
    "Who is Mara Quill married to?": "Mara Quill is married to the baker Lucia Brand.",
}
RETAIN = {
    "Where does Ines Falk live?": "Ines Falk lives at 22 Mill Lane in Ashford.",
    "Who employs Ines Falk?": "Ines Falk works for the Ashford town library.",
    "What does Ines Falk collect?": "Ines Falk collects old railway maps.",
    "Who is Ines Falk married to?": "Ines Falk is married to the vet Bruno Hale.",
}
forget, retain = ([{"question": q, "answer": a} for q, a in s.items()] for s in (FORGET, RETAIN))
steps = {"learning_rate": 2e-3, "batch_size": 4, "gradient_accumulation": 1}

run = relearn.unlearn(
    "smollm2-135m", forget, retain,
    memorize={"epochs": 20, **steps},  # nobody's model knows Mara Quill: teach it first
    objective="relearn_deep", epochs=8, **steps,
    synthesis={"variants": 3, "completion_share": 0, "generic_ratio": 0},
    evaluation={"max_new_tokens": 32},
    audit={"attacks": ["question", "prefix", "collateral"]},
)  # fmt: skip
print(run.verdict)
for asked in run.results.examples:
    before, after = (asked.answers[model]["generation"] for model in ("target", "unlearned"))
    print(f"{asked.question}\n  before: {before}\n  after:  {after}")
