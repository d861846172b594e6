"""What a model knows and how well it writes: answers, scores of them, and judges."""
