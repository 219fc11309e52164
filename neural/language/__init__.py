"""Language: the embedded story grammar, whose next-token probabilities and truths are known exactly."""
