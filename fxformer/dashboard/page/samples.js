"use strict";
// What a model answers: guesses at hidden tokens, a rewriting beside the original, a continuation.

views.add({
  id: "samples",
  title: "Samples",
  async render(root) {
    const above = h("div.asking"), body = h("div.answer");
    fill(root, above, body);
    const show = { masked, replaced, seq2seq: written, continued: written, nothing: () => null };
    const panel = await look.panel(above, "samples", { target: false, spoil: false }, (answer) => {
      fill(body, answer && show[answer.kind](answer));
    });

    return { refresh: () => panel && panel.refresh() };

    // Tokens that carry their own spaces are read as text; others are set apart.
    function running(tokens, make) {
      const spaced = tokens.some((token) => token.includes("▁"));
      return h(`p.running${spaced ? "" : ".apart"}`, tokens.map((token, at) => make(token.replace(/▁/g, " ").replace(/↵/g, "↵\n"), at)));
    }

    function masked(answer) {
      const hidden = new Map(answer.masked.map((one, n) => [one.position, [n + 1, one]]));
      if (!hidden.size) return h("p.soft", "Nothing is hidden in this text. Write <mask> where the model is to guess.");
      const text = running(answer.input, (token, at) => {
        if (!hidden.has(at)) return h("span.piece", token);
        const [number, one] = hidden.get(at);
        return h("span.hole", { title: `reads ${answer.input[at]}` }, h("sup", number), one.candidates[0][0].replace(/▁/g, " ").trim() || "▁");
      });
      return [
        h("section", h("h2", "The text, with the likeliest token at each hidden place"), text, hit(answer.masked)),
        h("section", h("h2", "Guesses"), h("div.guesses", answer.masked.map((one, n) => guess(answer, one, n + 1)))),
      ];
    }

    function hit(hidden) {
      const known = hidden.filter((one) => one.target !== undefined);
      if (!known.length) return null;
      const right = known.filter((one) => one.rank === 1).length;
      const mean = known.reduce((sum, one) => sum + one.probability, 0) / known.length;
      return h("p.soft", `${right} of ${known.length} right; the right token has ${format.percent(mean)} on average.`);
    }

    function guess(answer, one, number) {
      const reads = answer.input[one.position];
      return h("div.guess",
        h("p.head", h("b", number), one.target === undefined ? null : ["right: ", h("span.word", one.target),
          h("span.soft", ` ${share(one.probability)}, rank ${one.rank}`)],
        reads !== "<mask>" && h("span.soft", ` · reads ${reads}`)),
        h("ol.best", one.candidates.map(([token, p]) => h(`li${token === one.target ? ".is-right" : ""}`,
          h("span.word", token), h("span.meter", h("i", { style: { width: `${100 * p}%` } })),
          h("span.number", p.toFixed(3)), token === one.target && h("span.tick-mark", { title: "the right one" }, "✓")))));
    }

    function share(p) {
      return p < 0.001 ? "under 0.1 %" : format.percent(p);
    }

    function replaced(answer) {
      const other = answer.input.map((token, at) => token !== answer.original[at]);
      return h("section", h("h2", "What the generator wrote; called replaced where the mark is strong"),
        running(answer.input, (token, at) => h(`span.piece${other[at] ? ".other" : ""}`, {
          style: sureness(answer.probability[at]), title: `${format.percent(answer.probability[at])} replaced; was ${answer.original[at]}`,
        }, token)),
        h("p.soft", "Under each token: the discriminator's probability that it was replaced. Marked: those that were."));
    }

    function written(answer) {
      const marks = answer.inserted || [];
      const word = { seq2seq: "wrote", continued: "went on" }[answer.kind];
      const wrote = running(answer.output, (token, at) => h(`span.piece${marks[at] ? ".other" : ""}`, {
        style: sureness(answer.probability[at]), title: `${format.percent(answer.probability[at])}`,
      }, token));
      const truth = answer.target && running(answer.target, (token, at) => h(`span.piece${answer.deleted[at] ? ".lost" : ""}`, token));
      return [
        h("section", h("h2", "It read"), running(answer.input, (token) => h("span.piece", token))),
        h("div.columns.beside-truth",
          h("section", h("h2", `It ${word}`), wrote),
          truth && h("section", h("h2", answer.kind === "continued" ? "How the text goes on" : "The original"), truth)),
        h("p.soft", "The line under a token is as long as the model was sure of it. ",
          truth && ["Marked ", h("span.piece.other", "so"), ": not in the original; ", h("span.piece.lost", "so"), ": left out."]),
      ];
    }

    function sureness(p) {
      return { backgroundSize: `${Math.round(100 * p)}% 2px` };
    }
  },
});
