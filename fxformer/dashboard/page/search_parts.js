"use strict";
// Charts of one search: what mattered, value against energy, trials over time, spent and budget.

const searchParts = (() => {
  const STATES = { complete: "circle", pruned: "x", failed: "cross", running: "circle-open", interrupted: "square-open", stopped: "diamond-open", waiting: "circle-open", skipped: "x-open" };

  function words(trial) {
    const params = Object.entries(trial.params).map(([key, value]) => `${key}=${runColumns.text(value)}`);
    return [`trial ${trial.slot}, ${trial.status}`, trial.values.length ? `value ${format.number(trial.values[0])}` : null, `${format.number(trial.kwh)} kWh`, ...params].filter(Boolean);
  }

  function hover(trial) {
    return words(trial).map(chart.text).join("<br>");
  }

  // shares: [{key, share, chance}]; what may be chance is hatched.
  function importance(shares) {
    const rows = [...shares].reverse();
    const sure = (one) => one.chance < 0.05;
    const { colour } = chart.look(0);
    return {
      data: [{ type: "bar", orientation: "h", y: rows.map((one) => chart.text(one.key)), x: rows.map((one) => one.share),
        marker: { color: rows.map((one) => (sure(one) ? colour : chart.ink("soft"))), pattern: { shape: rows.map((one) => (sure(one) ? "" : "/")), fillmode: "overlay", fgcolor: chart.ink("card"), fgopacity: 0.8, size: 7 } },
        text: rows.map((one) => (sure(one) ? `p = ${one.chance.toFixed(3)}` : `may be chance, p = ${one.chance.toFixed(2)}`)), textposition: "outside", cliponaxis: false,
        hovertemplate: "%{y}: %{x:.0%}<br>%{text}<extra></extra>" }],
      layout: { height: 90 + 36 * rows.length, xaxis: { title: "share of importance (PED-ANOVA)", tickformat: ".0%", tickvals: [0, 0.25, 0.5, 0.75, 1], range: [0, 1.35 * Math.max(...rows.map((one) => one.share))] }, margin: { l: 16, r: 16, t: 8, b: 44 } },
    };
  }

  function pareto(answer) {
    const { trials, front, study } = answer;
    const ended = trials.filter((trial) => trial.values.length && Number.isFinite(trial.values[0]));
    const best = front.map((slot) => trials.find((trial) => trial.slot === slot));
    const [plain, edge] = [chart.look(0), chart.look(1)];
    const points = (some, name, marker) => ({ type: "scatter", mode: "markers", name, x: some.map((t) => t.kwh), y: some.map((t) => t.values[0]),
      text: some.map(hover), hovertemplate: "%{text}<extra></extra>", marker });
    return {
      data: [
        points(ended.filter((t) => t.state === "complete"), "complete", { color: plain.colour, size: 8, symbol: "circle", opacity: 0.75 }),
        points(ended.filter((t) => t.state === "pruned"), "pruned", { color: chart.ink("soft"), size: 7, symbol: "x" }),
        { ...points(best, "no trial beats these in both", { color: edge.colour, size: 11, symbol: "diamond" }), mode: "lines+markers", line: { color: edge.colour, width: 1.5, shape: "hv" } },
      ],
      layout: { height: 360, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { l: 56, r: 16, t: 36, b: 44 },
        xaxis: { title: "kWh of the trial", rangemode: "tozero" }, yaxis: { title: chart.text(study.objectives[0]) } },
    };
  }

  function ended(trials) {
    return trials.filter((trial) => trial.ended).sort((a, b) => (a.ended < b.ended ? -1 : 1));
  }

  function overTime(answer) {
    const some = ended(answer.trials), better = (a, b) => (answer.minimize ? a < b : a > b);
    let best = null;
    const course = some.map((trial) => {
      const value = trial.values[0];
      if (trial.state === "complete" && Number.isFinite(value) && (best === null || better(value, best))) best = value;
      return best;
    });
    const valued = some.filter((trial) => trial.values.length && Number.isFinite(trial.values[0]));
    const [plain, edge] = [chart.look(0), chart.look(1)];
    return {
      data: [
        { type: "scatter", mode: "markers", name: "trials", x: valued.map((t) => t.ended), y: valued.map((t) => t.values[0]), text: valued.map(hover), hovertemplate: "%{text}<extra></extra>",
          marker: { size: 8, symbol: valued.map((t) => STATES[t.state]), color: valued.map((t) => (t.state === "complete" ? plain.colour : chart.ink("soft"))) } },
        { type: "scatter", mode: "lines", name: "best so far", x: some.map((t) => t.ended), y: course, line: { shape: "hv", color: edge.colour, width: 2 }, hoverinfo: "skip" },
      ],
      layout: { height: 320, yaxis: { title: chart.text(answer.study.objectives[0]) }, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { l: 56, r: 16, t: 36, b: 44 } },
    };
  }

  function spent(answer) {
    const some = ended(answer.trials), look = chart.look(2), limit = chart.look(1);
    let sum = 0;
    const course = some.map((trial) => (sum += trial.kwh));
    const budget = answer.study.budget_kwh;
    const shapes = budget ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: budget, y1: budget, line: { color: limit.colour, dash: "dash", width: 2 } }] : [];
    const notes = budget ? [{ xref: "paper", x: 0, y: budget, yanchor: "bottom", xanchor: "left", showarrow: false, text: `budget ${format.number(budget)} kWh`, font: { color: limit.colour } }] : [];
    return {
      data: [{ type: "scatter", mode: "lines+markers", x: some.map((t) => t.ended), y: course, line: { shape: "hv", color: look.colour, width: 2 }, marker: { size: 4 }, fill: "tozeroy", fillcolor: look.colour + "22",
        hovertemplate: "%{y:.4~g} kWh<extra></extra>" }],
      layout: { height: 320, shapes, annotations: notes, yaxis: { title: "kWh of all trials", rangemode: "tozero", ...(budget ? { range: [0, 1.12 * Math.max(budget, sum)] } : {}) }, margin: { l: 56, r: 16, t: 36, b: 44 } },
    };
  }

  return { importance, pareto, overTime, spent, words };
})();
