"""Features: hidden states of texts, pooled or by token, in memory or written to a file."""
