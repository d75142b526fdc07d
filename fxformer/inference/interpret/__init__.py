"""Reading a model: influence of tokens, queries and keys, logit lens, importance of heads."""
