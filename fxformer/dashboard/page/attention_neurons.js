"use strict";
// Queries and keys of one head, channel by channel: their product for each key of a chosen query.

const attentionNeurons = (() => {
  // draw(root, shown, {layer, heads, query, key}): shown: see weights.read, with channels, q and k
  function draw(root, shown, selected) {
    const { queries, keys, channels } = shown, layer = selected.layer, head = selected.heads[0];
    const [q, k] = [shown.q, shown.k].map((one) => weights.floats(one.weights));
    const vector = (all, count, at) => all.subarray(((layer * count + at) * shown.heads + head) * channels,
      ((layer * count + at) * shown.heads + head + 1) * channels);
    const query = Math.min(selected.query || 0, queries.length - 1);
    const own = vector(q, queries.length, query);
    const rows = keys.map((token, key) => {
      const product = Float32Array.from(vector(k, keys.length, key), (value, c) => value * own[c]);
      return { token, key, product, sum: product.reduce((a, b) => a + b, 0), weight: shown.at(layer, head, query, key) };
    });
    const most = Math.max(1e-9, ...rows.map((row) => Math.max(...row.product.map(Math.abs))));
    if (!(selected.key < keys.length)) selected.key = rows.reduce((a, b) => (b.weight > a.weight ? b : a)).key;
    const again = () => draw(root, shown, selected);
    const names = queries.map((token, at) => [String(at), `${at} ${token}`]);
    const pair = h("section.neuron-pair");
    fill(root, h("div.neurons",
      h("p.soft", `Each channel of the head multiplies the query with a key; the sum is the logit before what the position scheme adds and before the softmax. ${channels} channels; blue raises the weight, orange lowers it. Click a key for its channels.`),
      h("div.toolbar", choice("query", names, String(query), (value) => { selected.query = Number(value); again(); })),
      pair,
      wide("products of the query with each key", h("table.products",
        h("thead", h("tr", ["key", "query × key, by channel", "sum", "weight"].map((name) => h("th", name)))),
        h("tbody", rows.map((row) => h("tr", { "aria-selected": String(row.key === selected.key), tabindex: 0,
          onclick: () => { selected.key = row.key; again(); },
          onkeydown: (event) => { if (event.key === "Enter") { selected.key = row.key; again(); } } },
        h("td", h("span.word", row.token), h("span.soft", ` at ${row.key}`)), h("td", strip(row.product, most)),
        h("td.number", row.sum.toFixed(2)), h("td.number", row.weight.toFixed(3)))))))));
    drawPair(pair, own, vector(k, keys.length, selected.key), rows[selected.key], queries[query], query);
  }

  function drawPair(root, own, other, row, token, query) {
    const lines = [["query", own], ["key", other], ["product", row.product]];
    fill(root, h("h2", h("span.word", token), ` at ${query} and `, h("span.word", row.token), ` at ${row.key}`),
      h("table.products", h("tbody", lines.map(([name, values]) => h("tr", h("td", name),
        h("td", strip(values, Math.max(1e-9, ...values.map(Math.abs)))), h("td.number", `largest ${Math.max(...values.map(Math.abs)).toFixed(2)}`))))));
  }

  // One small bar for each channel, up and blue where positive, down and orange where negative.
  function strip(values, most) {
    const wide = Math.max(3, Math.min(9, Math.floor(420 / values.length))), high = 26;
    const canvas = h("canvas.strip", { width: wide * values.length, height: high, role: "img",
      "aria-label": `${values.length} channels from ${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}` });
    const pen = canvas.getContext("2d");
    pen.fillStyle = chart.ink("line");
    pen.fillRect(0, high / 2 - 0.5, canvas.width, 1);
    values.forEach((value, c) => {
      pen.fillStyle = chart.ink(value > 0 ? "accent" : "warm");
      const size = Math.abs(value) / most * (high / 2);
      pen.fillRect(c * wide, value > 0 ? high / 2 - size : high / 2, wide - 1, size);
    });
    return canvas;
  }

  return { draw };
})();
