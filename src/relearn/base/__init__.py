"""What everything else stands on, and what depends on nothing else of this package."""
