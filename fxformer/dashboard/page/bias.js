"use strict";
// Audits written by `fxformer bias`: preferences of models between sentences, by category.

const biasSection = (() => {
  // name: [in the list, on the axis, value without bias or, of the language-model score, knowledge]
  const NUMBERS = {
    preferred: ["preferred", "more stereotypical preferred, %", 50], log_odds: ["log-odds", "log-odds of more stereotypical, nats", 0],
    lm: ["LM score", "language-model score, %", 50], icat: ["ICAT", "ICAT", 100],
  };

  async function draw(root) {
    const found = await api.get("bias_audits");
    root.hidden = !found.length;
    if (!found.length) return;
    const plot = h("div.chart"), caption = h("p.soft"), number = h("span");
    let one = found[0], shown = "preferred";
    const list = choice("audit", found.map((audit, n) => [String(n), `${audit.title}, ${audit.name}`]), "0", (n) => show(found[n], shown));
    fill(root, h("div.bar", h("h2", "Bias audit"), list, number), plot, caption);

    function show(audit, name) {
      const names = Object.keys(all(audit.models[0]).values);
      one = audit;
      shown = names.includes(name) ? name : names[0];
      fill(number, choice("number", names.map((key) => [key, NUMBERS[key] ? NUMBERS[key][0] : key]), shown, (key) => show(one, key)));
      fill(caption, words(one));
      return chart.draw(plot, () => picture(one, shown));
    }
    await show(one, shown);
  }

  function all(model) {
    return model.categories.all;
  }

  function short(model) {
    return model.model.replace(/^\d{8}-\d{6}-/, "");
  }

  function words(audit) {
    const scores = audit.models.map((model) => `${short(model)} ${format.number(all(model).values.lm.value)} %`);
    return `${audit.examples} examples. Error bars: 95 %, bootstrap over examples; dotted: no bias, or for the language-model score no knowledge of the language. `
      + `Language-model score: ${scores.join(", ")}; near 50 % the other numbers say nothing. ${audit.measures}.`
      + audit.remarks.map((text) => ` ${text[0].toUpperCase()}${text.slice(1)}.`).join("");
  }

  function picture(audit, name) {
    const [, label, neutral] = NUMBERS[name] || [name, name, 0];
    const categories = Object.keys(audit.models[0].categories), count = audit.models.length;
    const data = audit.models.map((model, n) => {
      const style = chart.style(n), values = categories.map((category) => model.categories[category].values[name]);
      const side = (key) => values.map((v) => (v[key] === null || v.value === null ? 0 : Math.abs(v[key] - v.value)));
      return {
        type: "scatter", mode: "markers", name: chart.text(short(model)), x: values.map((v) => v.value),
        y: categories.map((_, k) => k + (n - (count - 1) / 2) * Math.min(0.22, 0.7 / count)),
        error_x: { type: "data", symmetric: false, array: side("high"), arrayminus: side("low"), color: style.colour, thickness: 1.5, width: 3 },
        marker: { color: style.colour, symbol: style.marker, size: 9 },
        text: categories.map((category, k) => `${chart.text(category)}<br>${interval(values[k])}<br>${model.categories[category].examples} examples`),
        hovertemplate: `${chart.text(short(model))}<br>%{text}<extra></extra>`,
      };
    });
    return {
      data,
      layout: {
        height: 110 + categories.length * Math.max(26, 15 * count), showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
        xaxis: { title: label }, margin: { l: 16, r: 16, t: 36, b: 44 },
        yaxis: { tickvals: categories.map((_, k) => k), ticktext: categories.map(chart.text), range: [categories.length - 0.5, -0.5], zeroline: false },
        shapes: [{ type: "line", x0: neutral, x1: neutral, y0: 0, y1: 1, yref: "paper", line: { color: chart.ink("soft"), width: 1, dash: "dot" } }],
      },
    };
  }

  function interval(value) {
    const shown = format.number(value.value);
    return value.low === null ? shown : `${shown} [${format.number(value.low)}, ${format.number(value.high)}]`;
  }

  return { draw };
})();
