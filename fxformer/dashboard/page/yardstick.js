"use strict";
// The common yardstick: what `fxformer compare` found when it asked runs for the same words.

const yardstickSection = (() => {
  const READINGS = { infill: "infill: between both sides", follow: "follow: after what comes before", pseudo: "pseudo: one token at a time" };
  const UNITS = { joules: "J", flops: "FLOP", tokens: "tokens", seconds: "s", step: "steps" };

  async function draw(root, shown) {
    const found = await api.get("yardstick");
    const head = h("h2", "The common yardstick");
    if (!found.length) {
      const names = shown().slice(-3).map((run) => run.name);
      fill(root, head, empty("Runs of any objectives, asked for the same words of the same held-out text at equal cost. Nothing was compared in this folder yet:",
        `fxformer compare ${names.join(" ")}`));
      return;
    }
    const plot = h("div.chart"), words = h("p.soft");
    const list = choice("comparison", found.map((one, n) => [String(n), `${one.name}: ${one.runs.length} runs at ${format.si(one.budget)} ${UNITS[one.unit] || one.unit}`]), "0", (n) => show(found[n]));
    fill(root, h("div.bar", head, list), plot, words);

    function show(one) {
      fill(words, `Bits per byte of ${one.passages} passages, lower is better; bars are one standard error over passages. ${cost(one)}${one.runs.map(lossy).filter(Boolean).map((words) => ` ${words}.`).join("")}`);
      return chart.draw(plot, () => picture(one));
    }
    await show(found[0]);
  }

  function cost(one) {
    const unit = UNITS[one.unit] || one.unit;
    if (one.equal !== false) return `Each run's checkpoint had cost at most ${format.si(one.budget)} ${unit}.`;
    const each = one.runs.map((run) => `${short(run)} at ${format.si(run.spent[one.unit])} ${unit}`);
    return `Not at equal cost: final checkpoints, ${each.join(", ")}.`;
  }

  function lossy(run) {
    const share = run.readings.lossy;
    if (!share) return "";
    return `${short(run)} is lossy: ${(100 * share).toFixed(1)} % of the bytes do not come back from its tokenizer and are charged`;
  }

  function short(run) {
    return run.run.replace(/^\d{8}-\d{6}-/, "");
  }

  function picture(one) {
    const names = one.runs.map((run) => short(run) + (run.readings.lossy ? " †" : ""));
    const data = Object.entries(READINGS).map(([reading, words], n) => {
      const look = chart.look(n);
      const values = one.runs.map((run) => run.readings[reading]);
      return {
        type: "scatter", mode: "markers", name: words, y: names.map((name, k) => k + (n - 1) * 0.18),
        x: values.map((v) => (v ? v.value : null)), error_x: { type: "data", array: values.map((v) => (v ? v.error : 0)), color: look.colour, thickness: 1.5 },
        marker: { color: look.colour, symbol: look.marker, size: 10 },
        text: names.map(chart.text), hovertemplate: `%{text}<br>${words}<br>%{x:.4f}<extra></extra>`,
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
