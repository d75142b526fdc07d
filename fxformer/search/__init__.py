"""The search: many runs by one command, that share a space, a store and a budget."""
