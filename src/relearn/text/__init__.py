"""Text without a model: words in any script, numbers, identifiers."""
