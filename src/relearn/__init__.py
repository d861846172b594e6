"""relearn: make a language model forget chosen knowledge by learning new answers, and prove it."""

__version__ = "0.1.0"
