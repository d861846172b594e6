"""The bottom layer: what everything else uses, and what imports nothing else of relearn."""
