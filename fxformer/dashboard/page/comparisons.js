"use strict";
// Comparisons written by `fxformer compare`: runs scored on the same held-out spans.

const comparisonsSection = (() => {
  const METRICS = { infill: "infilling: both contexts", follow: "continuation: left context", pseudo: "pseudo-likelihood: one token at a time" };
  const UNITS = { joules: "J", flops: "FLOP", tokens: "tokens", seconds: "s", step: "steps" };

  async function draw(root, shown) {
    const found = await api.get("comparisons");
    const head = h("h2", "Comparison on the same spans");
    if (!found.length) {
      const names = shown().slice(-3).map((run) => run.name);
      fill(root, head, empty("Scores runs of any objective on the same held-out spans at equal cost. No comparison has been made in this folder yet:",
        `fxformer compare ${names.join(" ")}`));
      return;
    }
    const plot = h("div.chart"), caption = h("p.soft");
    const list = choice("comparison", found.map((one, n) => [String(n), `${one.name}: ${one.runs.length} runs at ${format.si(one.budget)} ${UNITS[one.unit] || one.unit}`]), "0", (n) => show(found[n]));
    fill(root, h("div.bar", head, list), plot, caption);

    function show(one) {
      fill(caption, `Bits per byte of ${one.passages} passages, lower is better; error bars: one standard error over passages. ${cost(one)}${one.runs.map(lossy).filter(Boolean).map((text) => ` ${text}.`).join("")}`);
      return chart.draw(plot, () => picture(one));
    }
    await show(found[0]);
  }

  function cost(one) {
    const unit = UNITS[one.unit] || one.unit;
    if (one.equal !== false) return `Checkpoints at a cost of at most ${format.si(one.budget)} ${unit} each.`;
    const each = one.runs.map((run) => `${short(run)} at ${format.si(run.spent[one.unit])} ${unit}`);
    return `Not at equal cost: final checkpoints, ${each.join(", ")}.`;
  }

  function lossy(run) {
    const share = run.scores.lossy;
    if (!share) return "";
    return `${short(run)} has a lossy tokenizer: ${(100 * share).toFixed(1)} % of the bytes are lost in the round trip and count against it`;
  }

  function short(run) {
    return run.run.replace(/^\d{8}-\d{6}-/, "");
  }

  function picture(one) {
    const names = one.runs.map((run) => short(run) + (run.scores.lossy ? " †" : ""));
    const data = Object.entries(METRICS).map(([metric, label], n) => {
      const style = chart.style(n);
      const values = one.runs.map((run) => run.scores[metric]);
      return {
        type: "scatter", mode: "markers", name: label, y: names.map((name, k) => k + (n - 1) * 0.18),
        x: values.map((v) => (v ? v.value : null)), error_x: { type: "data", array: values.map((v) => (v ? v.error : 0)), color: style.colour, thickness: 1.5 },
        marker: { color: style.colour, symbol: style.marker, size: 10 },
        text: names.map(chart.text), hovertemplate: `%{text}<br>${label}<br>%{x:.4f}<extra></extra>`,
      };
    });
    return {
      data,
      layout: {
        height: 110 + 54 * names.length, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
        xaxis: { title: "bits per byte" }, margin: { l: 16, r: 16, t: 36, b: 44 },
        yaxis: { tickvals: names.map((_, n) => n), ticktext: names.map(chart.text), range: [names.length - 0.5, -0.5], zeroline: false },
      },
    };
  }

  return { draw };
})();
