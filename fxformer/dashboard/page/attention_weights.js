"use strict";
// Decodes attention weights: 16-bit integers in base64.

const weights = (() => {
  const MAX_WEIGHT = 65535;

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
      at: (layer, head, t, s) => whole[first(layer, head) + t * S + s] / MAX_WEIGHT,
    };
  }

  // The tokens that a query attends to (or that attend to a key), by descending weight:
  // [[token index, mean weight over the heads]].
  function strongest(shown, layer, heads, side, index, count) {
    const other = side === "query" ? shown.keys.length : shown.queries.length;
    const mean = (i) => heads.reduce((sum, head) => sum
      + (side === "query" ? shown.at(layer, head, index, i) : shown.at(layer, head, i, index)), 0) / heads.length;
    return Array.from({ length: other }, (_, i) => [i, mean(i)]).sort((a, b) => b[1] - a[1]).slice(0, count);
  }

  const NAMES = { encoder: "encoder", decoder: "decoder", cross: "cross-attention" };

  // Float32Array of numbers in base64.
  function floats(text) {
    return new Float32Array(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);
  }

  return { read, floats, strongest, MAX_WEIGHT, NAMES };
})();
