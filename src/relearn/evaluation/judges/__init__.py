"""Judges: what metrics ask about text. Each has an offline default, named in the configuration."""
