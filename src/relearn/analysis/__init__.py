"""Why it forgets, seen inside the models: distributions, memory, circuits, language."""
