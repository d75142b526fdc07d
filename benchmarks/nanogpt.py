"""A compact GPT-2 in PyTorch, written for speed: one product for q, k, v and fused attention."""

import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        batch, length, dim = x.shape
        split = self.qkv(self.before(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=rate)
        x = x + self.drop(self.out(y.transpose(1, 2).reshape(batch, length, dim)))
        y = self.down(F.gelu(self.up(self.between(x)), approximate="tanh"))
        return x + self.drop(y)

    def drop(self, x):
        """Dropout of a sublayer's output."""
        return F.dropout(x, self.dropout, self.training)


class GPT2(nn.Module):
    """Tied input and output table, learned positions. Radford et al. 2019."""

    def __init__(
        self, *, vocab: int, length: int, dim: int, layers: int, heads: int, hidden: int,
        dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.dropout = dropout
        self.words, self.places = nn.Embedding(vocab, dim), nn.Embedding(length, dim)
        self.layers = nn.ModuleList(Layer(dim, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.apply(_draw)

    def forward(self, tokens, labels):
        """Mean cross-entropy of `labels`, those already shifted."""
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        x = F.dropout(x, self.dropout, self.training)
        for layer in self.layers:
            x = layer(x)
        logits = F.linear(self.norm(x), self.words.weight)
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
