"""What a run found, for people: one HTML file, and the model card of the merged model."""
