"""What a model makes of texts: answers, likelihoods, embeddings."""
