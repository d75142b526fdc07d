"use strict";
// What a model answers: guesses at hidden tokens, a rewriting beside the original, a continuation.

views.add({
  id: "samples",
  title: "Samples",
  async render(root) {
    const above = h("div.asking"), body = h("div.answer");
    fill(root, above, body);
    const show = { masked, replaced, rewritten: written, continued: written, nothing: () => null };
    const panel = await look.panel(above, "samples", { target: false, spoil: false }, (answer) => {
      fill(body, answer && show[answer.what](answer));
    });

    return { refresh: () => panel && panel.refresh() };

    // Tokens that carry their own spaces are read as text; others are set apart.
    function running(tokens, make) {
      const spaced = tokens.some((token) => token.includes("▁"));
      return h(`p.running${spaced ? "" : ".apart"}`, tokens.map((token, at) => make(token.replace(/▁/g, " ").replace(/↵/g, "↵\n"), at)));
    }

    function masked(answer) {
      const hidden = new Map(answer.hidden.map((one, n) => [one.at, [n + 1, one]]));
      if (!hidden.size) return h("p.soft", "Nothing is hidden in this text. Write <mask> where the model is to guess.");
      const text = running(answer.read, (token, at) => {
        if (!hidden.has(at)) return h("span.piece", token);
        const [number, one] = hidden.get(at);
        return h("span.hole", { title: `reads ${answer.read[at]}` }, h("sup", number), one.best[0][0].replace(/▁/g, " ").trim() || "▁");
      });
      return [
        h("section", h("h2", "The text, with the likeliest token at each hidden place"), text, hit(answer.hidden)),
        h("section", h("h2", "Guesses"), h("div.guesses", answer.hidden.map((one, n) => guess(answer, one, n + 1)))),
      ];
    }

    function hit(hidden) {
      const known = hidden.filter((one) => one.right !== undefined);
      if (!known.length) return null;
      const right = known.filter((one) => one.rank === 1).length;
      const mean = known.reduce((sum, one) => sum + one.p, 0) / known.length;
      return h("p.soft", `${right} of ${known.length} right; the right token has ${format.percent(mean)} on average.`);
    }

    function guess(answer, one, number) {
      const reads = answer.read[one.at];
      return h("div.guess",
        h("p.head", h("b", number), one.right === undefined ? null : ["right: ", h("span.word", one.right),
          h("span.soft", ` ${share(one.p)}, rank ${one.rank}`)],
        reads !== "<mask>" && h("span.soft", ` · reads ${reads}`)),
        h("ol.best", one.best.map(([token, p]) => h(`li${token === one.right ? ".is-right" : ""}`,
          h("span.word", token), h("span.meter", h("i", { style: { width: `${100 * p}%` } })),
          h("span.number", p.toFixed(3)), token === one.right && h("span.tick-mark", { title: "the right one" }, "✓")))));
    }

    function share(p) {
      return p < 0.001 ? "under 0.1 %" : format.percent(p);
    }

    function replaced(answer) {
      const other = answer.read.map((token, at) => token !== answer.truth[at]);
      return h("section", h("h2", "What the generator wrote; called replaced where the mark is strong"),
        running(answer.read, (token, at) => h(`span.piece${other[at] ? ".other" : ""}`, {
          style: sureness(answer.p[at]), title: `${format.percent(answer.p[at])} replaced; was ${answer.truth[at]}`,
        }, token)),
        h("p.soft", "Under each token: the discriminator's probability that it was replaced. Marked: those that were."));
    }

    function written(answer) {
      const marks = answer.other || [];
      const word = { rewritten: "wrote", continued: "went on" }[answer.what];
      const wrote = running(answer.wrote, (token, at) => h(`span.piece${marks[at] ? ".other" : ""}`, {
        style: sureness(answer.p[at]), title: `${format.percent(answer.p[at])}`,
      }, token));
      const truth = answer.truth && running(answer.truth, (token, at) => h(`span.piece${answer.lost[at] ? ".lost" : ""}`, token));
      return [
        h("section", h("h2", "It read"), running(answer.read, (token) => h("span.piece", token))),
        h("div.columns.beside-truth",
          h("section", h("h2", `It ${word}`), wrote),
          truth && h("section", h("h2", answer.what === "continued" ? "How the text goes on" : "The original"), truth)),
        h("p.soft", "The line under a token is as long as the model was sure of it. ",
          truth && ["Marked ", h("span.piece.other", "so"), ": not in the original; ", h("span.piece.lost", "so"), ": left out."]),
      ];
    }

    function sureness(p) {
      return { backgroundSize: `${Math.round(100 * p)}% 2px` };
    }
  },
});
