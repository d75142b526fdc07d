"use strict";
// Curve data: fetched once, mapped to an x axis, smoothed, averaged over runs.

const curveData = (() => {
  const cache = new Map(); // request -> promise of a curve
  const AXES = {
    step: ["step", "steps"], tokens: ["tokens", "training tokens"], seconds: ["time", "training time"],
    flops: ["FLOPs", "model FLOPs"], joules: ["joules", "energy used, J"],
  };

  function points(runs) {
    return api.live ? Math.max(200, Math.min(800, Math.floor(20000 / Math.max(1, runs)))) : null;
  }

  function get(key, split, name, count) {
    const params = { run: key, split, name, ...(count ? { points: count } : {}) };
    const request = JSON.stringify(params);
    if (!cache.has(request)) {
      const answer = api.get("curve", params);
      answer.catch(() => cache.delete(request));
      cache.set(request, answer);
    }
    return cache.get(request);
  }

  // Drops the cached curves of changed runs.
  function forget(keys) {
    for (const request of [...cache.keys()]) if (keys.has(JSON.parse(request).run)) cache.delete(request);
  }

  // The x values of rows on one of the five axes; null where unknown.
  function along(curve, rows, axis) {
    if (axis !== "flops") return rows[axis];
    const each = curve.flops_per_token;
    return each ? rows.tokens.map((tokens) => tokens * each) : rows.tokens.map(() => null);
  }

  // Bias-corrected exponential moving average, as in Adam; weight in [0, 1).
  function smooth(values, weight) {
    if (!weight) return values;
    let sum = 0, share = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = weight * sum + (1 - weight) * value;
      share = weight * share + (1 - weight);
      return sum / share;
    });
  }

  // Mean and one standard deviation over curves [{x, y}], where at least two of them are defined.
  function average(curves, count = 240) {
    const whole = curves.map(({ x, y }) => clean(x, y)).filter(({ x }) => x.length);
    if (!whole.length) return { x: [], mean: [], low: [], high: [] };
    const from = Math.min(...whole.map(({ x }) => x[0])), to = Math.max(...whole.map(({ x }) => x[x.length - 1]));
    const grid = Array.from({ length: count }, (_, n) => from + (to - from) * n / (count - 1));
    const found = { x: [], mean: [], low: [], high: [] };
    for (const at of grid) {
      const values = whole.map((one) => between(one, at)).filter((value) => value !== null);
      if (values.length < Math.min(2, whole.length)) continue;
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      const off = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1));
      found.x.push(at);
      found.mean.push(mean);
      found.low.push(mean - off);
      found.high.push(mean + off);
    }
    return found;
  }

  function clean(x, y) {
    const kept = x.map((at, n) => [at, y[n]]).filter(([at, value]) => at !== null && value !== null);
    return { x: kept.map(([at]) => at), y: kept.map(([, value]) => value) };
  }

  function between({ x, y }, at) {
    if (at < x[0] || at > x[x.length - 1]) return null;
    let low = 0, high = x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (x[middle] <= at) low = middle;
      else high = middle;
    }
    const width = x[high] - x[low];
    return width ? y[low] + (y[high] - y[low]) * (at - x[low]) / width : y[low];
  }

  return { AXES, points, get, forget, along, smooth, average };
})();
