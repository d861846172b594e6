"""What a text says: words in any script, numbers, identifiers, languages, names and subjects."""
