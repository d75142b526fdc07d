"use strict";
// Attention weights as they are sent, and how heads are told apart.

const weights = (() => {
  const FINEST = 65535;

  // {kind, queries, keys, layers, heads, of(layer, head) -> Uint16Array [T S], at(layer, head, t, s)}
  function read(kind) {
    const text = atob(kind.weights);
    const whole = new Uint16Array(text.length / 2);
    for (let i = 0; i < whole.length; i++) whole[i] = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 8);
    const [T, S] = [kind.queries.length, kind.keys.length];
    const first = (layer, head) => (layer * kind.heads + head) * T * S;
    return {
      ...kind,
      of: (layer, head) => whole.subarray(first(layer, head), first(layer, head) + T * S),
      at: (layer, head, t, s) => whole[first(layer, head) + t * S + s] / FINEST,
    };
  }

  // The tokens that one token looks at (or, from the other side, is looked at by), the most first:
  // [[token, mean over the heads]].
  function strongest(shown, layer, heads, side, index, count) {
    const other = side === "query" ? shown.keys.length : shown.queries.length;
    const mean = (i) => heads.reduce((sum, head) => sum
      + (side === "query" ? shown.at(layer, head, index, i) : shown.at(layer, head, i, index)), 0) / heads.length;
    return Array.from({ length: other }, (_, i) => [i, mean(i)]).sort((a, b) => b[1] - a[1]).slice(0, count);
  }

  const NAMES = { encoder: "encoder", decoder: "decoder", cross: "cross-attention" };

  return { read, strongest, FINEST, NAMES };
})();
