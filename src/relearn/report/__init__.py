"""What a run found, for people: one HTML file, and the model card of the merged model."""

from relearn.report.html import write_report
from relearn.report.model_card import write_model_card

__all__ = ["write_model_card", "write_report"]
