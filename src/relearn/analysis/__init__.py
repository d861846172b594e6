"""Why it forgets, seen inside the models: distributions, memory, circuits, language."""

from relearn.base.extras import need

need("pandas", "an analysis")
