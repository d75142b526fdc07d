"""Neural network layers: attention, feed-forward, norms, positions, caches, heads, initialisers."""
