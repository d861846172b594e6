"""How the shipped judge was trained; not part of the package."""
