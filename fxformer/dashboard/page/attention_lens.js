"use strict";
// Logit lens: the most probable token at each position, read from every layer by the model's own head.

const attentionLens = (() => {
  function draw(root, lens) {
    if (lens.why) {
      fill(root, h("p.soft", lens.why));
      return;
    }
    const details = h("div.lens-details", { "aria-live": "polite" }, h("p.soft", "Click a cell for the most probable tokens there."));
    const known = lens.loss.some((loss) => loss !== null);
    const layers = lens.tokens.map((_, layer) => layer).reverse();
    const last = lens.tokens.length - 1;
    const row = (layer) => h("tr", h("th", { scope: "row" }, layer === 0 ? "embeddings" : layer === last ? `layer ${layer}, the model` : `layer ${layer}`),
      known && h("td.number", lens.loss[layer] === null ? "" : lens.loss[layer].toFixed(2)),
      lens.tokens[layer].map((best, at) => {
        const chance = lens.probabilities[layer][at][0], right = best[0] === lens.targets[at];
        return h(`td.lens-cell${right ? ".is-right" : ""}`, { tabindex: 0, onclick: () => tell(layer, at),
          onkeydown: (event) => { if (event.key === "Enter") tell(layer, at); } },
        h("span.shade", { style: { opacity: (chance * 0.55).toFixed(3) } }), h("span.word", best[0]), h("span.chance", chance.toFixed(2)));
      }));

    function tell(layer, at) {
      const loss = lens.losses[layer][at], target = lens.targets[at];
      fill(details, h("p", layer === 0 ? "embeddings" : `after layer ${layer}`, ", at ", h("span.word", lens.queries[at]), ` (${at})`,
        target !== null && [": the right token ", h("span.word", target), ` costs ${loss === null ? "?" : loss.toFixed(2)} nats`]),
      h("ol.best", lens.tokens[layer][at].map((token, n) => h("li", h("span.word", token), h("span"),
        h("span.meter", h("i", { style: { width: `${100 * lens.probabilities[layer][at][n]}%` } })),
        h("span.number", lens.probabilities[layer][at][n].toFixed(3))))));
    }

    fill(root, h("div.lens", h("p.soft", "Each cell: the most probable token by the model's final norm and head on the hidden state of a layer, and its probability; bold where it is the right one."),
      wide("logit lens", h("table.lens-table",
        h("thead", h("tr", h("th", "read"), known && h("th", { title: "mean over the positions with a known target" }, "loss, nats"),
          lens.queries.map((token) => h("th", h("span.word", token))))),
        h("tbody", layers.map(row)))), details));
  }

  return { draw };
})();
