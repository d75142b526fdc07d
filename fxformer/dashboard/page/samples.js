"use strict";
// The Samples view: predictions at masked tokens, reconstructions, continuations.

views.add({
  id: "samples",
  title: "Samples",
  async render(root) {
    const above = h("div.inputs"), body = h("div.answer");
    fill(root, above, body);
    const show = { masked, replaced, seq2seq: written, continued: written, nothing: () => null };
    const panel = await inspectInput.panel(above, "samples", { target: false, corrupt: false }, (answer) => {
      fill(body, answer && show[answer.kind](answer));
    });

    return { refresh: () => panel && panel.refresh() };

    // Tokens with their own spaces are shown as running text, others separated.
    function running(tokens, make) {
      const spaced = tokens.some((token) => token.includes("▁"));
      return h(`p.running${spaced ? "" : ".apart"}`, tokens.map((token, at) => make(token.replace(/▁/g, " ").replace(/↵/g, "↵\n"), at)));
    }

    function masked(answer) {
      const hidden = new Map(answer.masked.map((one, n) => [one.position, [n + 1, one]]));
      if (!hidden.size) return h("p.soft", "No masked tokens in this text. Write <mask> where the model should predict a token.");
      const text = running(answer.input, (token, at) => {
        if (!hidden.has(at)) return h("span.piece", token);
        const [number, one] = hidden.get(at);
        return h("span.masked", { title: `input: ${answer.input[at]}` }, h("sup", number), one.candidates[0][0].replace(/▁/g, " ").trim() || "▁");
      });
      return [
        h("section", h("h2", "Text with the most probable token at each masked position"), text, accuracy(answer.masked)),
        h("section", h("h2", "Predictions"), h("div.predictions", answer.masked.map((one, n) => prediction(answer, one, n + 1)))),
      ];
    }

    function accuracy(hidden) {
      const known = hidden.filter((one) => one.target !== undefined);
      if (!known.length) return null;
      const right = known.filter((one) => one.rank === 1).length;
      const mean = known.reduce((sum, one) => sum + one.probability, 0) / known.length;
      return h("p.soft", `${right} of ${known.length} correct; mean probability of the original token: ${format.percent(mean)}.`);
    }

    function prediction(answer, one, number) {
      const reads = answer.input[one.position];
      return h("div.prediction",
        h("p.head", h("b", number), one.target === undefined ? null : ["original: ", h("span.word", one.target),
          h("span.soft", ` ${share(one.probability)}, rank ${one.rank}`)],
        reads !== "<mask>" && h("span.soft", ` · input: ${reads}`)),
        h("ol.best", one.candidates.map(([token, p]) => h(`li${token === one.target ? ".is-right" : ""}`,
          h("span.word", token), h("span.meter", h("i", { style: { width: `${100 * p}%` } })),
          h("span.number", p.toFixed(3)), token === one.target && h("span.tick-mark", { title: "the original token" }, "✓")))));
    }

    function share(p) {
      return p < 0.001 ? "< 0.1 %" : format.percent(p);
    }

    function replaced(answer) {
      const other = answer.input.map((token, at) => token !== answer.original[at]);
      return h("section", h("h2", "Generator output and the probabilities of the discriminator"),
        running(answer.input, (token, at) => h(`span.piece${other[at] ? ".other" : ""}`, {
          style: underline(answer.probability[at]), title: `${format.percent(answer.probability[at])} replaced; original: ${answer.original[at]}`,
        }, token)),
        h("p.soft", "Line under a token: probability, by the discriminator, that it was replaced. Highlighted: replaced tokens."));
    }

    function written(answer) {
      const added = answer.inserted || [];
      const title = { seq2seq: "Output", continued: "Continuation" }[answer.kind];
      const output = running(answer.output, (token, at) => h(`span.piece${added[at] ? ".other" : ""}`, {
        style: underline(answer.probability[at]), title: `${format.percent(answer.probability[at])}`,
      }, token));
      const original = answer.target && running(answer.target, (token, at) => h(`span.piece${answer.deleted[at] ? ".lost" : ""}`, token));
      return [
        h("section", h("h2", "Input"), running(answer.input, (token) => h("span.piece", token))),
        h("div.columns.beside-truth",
          h("section", h("h2", title), output),
          original && h("section", h("h2", answer.kind === "continued" ? "Original continuation" : "Original"), original)),
        h("p.soft", "Line under a token: its probability. ",
          original && ["Highlighted: ", h("span.piece.other", "not in the original"), "; ", h("span.piece.lost", "missing from the output"), "."]),
      ];
    }

    function underline(p) {
      return { backgroundSize: `${Math.round(100 * p)}% 2px` };
    }
  },
});
