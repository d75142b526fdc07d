"""Array arithmetic with stated gradients: cross-entropy, adaptive softmax, attention."""
