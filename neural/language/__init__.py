"""Autoregressive language models: corpora, training, averages, continuations."""
