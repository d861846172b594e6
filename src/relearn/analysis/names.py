"""Names that stand in the tables and figures."""

BASE, TARGET = "base", "target"
LEARNED = ("unlearned", "relearn")

CLASSES = ("private", "plausible", "subject", "rest")
"""Kinds of tokens at a private word."""

ATTENTION, MLP = "attention", "mlp"
"""Kinds of branches; a branch is called such as `attention.3`."""

SUBJECT, CONTEXT, OUTPUT = "subject", "context", "output"
"""Ends of circuits: the embeddings of the subject's tokens, of all others, and the output."""
