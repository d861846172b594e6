"""What made files that the package ships; run from the root of the repository."""
