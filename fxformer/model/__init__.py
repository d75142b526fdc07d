"""Parts stood up as models: one stack, a language model, sequence to sequence."""
