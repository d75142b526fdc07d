"use strict";
// Charts of one search: parameter importance, Pareto front, trials over time, cumulative energy.

const searchParts = (() => {
  const STATES = { complete: "circle", pruned: "x", failed: "cross", running: "circle-open", interrupted: "square-open", stopped: "diamond-open", waiting: "circle-open", skipped: "x-open" };

  function description(trial) {
    const params = Object.entries(trial.params).map(([key, value]) => `${key}=${runColumns.text(value)}`);
    return [`trial ${trial.slot}, ${trial.status}`, trial.values.length ? `value ${format.number(trial.values[0])}` : null, format.wh(trial.kwh), ...params].filter(Boolean);
  }

  function hover(trial) {
    return description(trial).map(chart.text).join("<br>");
  }

  // rows: [{key, share, p_value}]; bars of insignificant keys are hatched.
  function importance(rows) {
    const most = Math.max(...rows.map((one) => one.share), 1e-9);
    const row = ({ key, share, p_value: p }) => {
      const significant = p <= 0.05;
      return h("tr", h("th", { scope: "row" }, key), h("td.bar-cell", h(significant ? "i" : "i.insignificant", { style: { width: `${100 * share / most}%` } })),
        h("td.right", format.percent(share)), h("td", significant ? `p = ${p.toFixed(3)}` : `not significant, p = ${p.toFixed(2)}`));
    };
    return wide("parameter importance", h("table.importance", h("thead", h("tr", ["key", "", "share (PED-ANOVA)", "p-value"].map((title) => (title ? h("th", { scope: "col" }, title) : h("td"))))),
      h("tbody", rows.map(row))));
  }

  function pareto(answer) {
    const { trials, pareto: front, study } = answer;
    const ended = trials.filter((trial) => trial.values.length && Number.isFinite(trial.values[0]));
    const best = front.map((slot) => trials.find((trial) => trial.slot === slot));
    const [plain, edge] = [chart.style(0), chart.style(1)];
    const points = (shown, name, marker) => ({ type: "scatter", mode: "markers", name, x: shown.map((t) => 1000 * t.kwh), y: shown.map((t) => t.values[0]),
      text: shown.map(hover), hovertemplate: "%{text}<extra></extra>", marker });
    return {
      data: [
        points(ended.filter((t) => t.state === "complete"), "complete", { color: plain.colour, size: 8, symbol: "circle", opacity: 0.75 }),
        points(ended.filter((t) => t.state === "pruned"), "pruned", { color: chart.ink("soft"), size: 7, symbol: "x" }),
        { ...points(best, "Pareto front", { color: edge.colour, size: 11, symbol: "diamond" }), mode: "lines+markers", line: { color: edge.colour, width: 1.5, shape: "hv" } },
      ],
      layout: { height: 360, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { l: 56, r: 16, t: 36, b: 44 },
        xaxis: { title: "Wh of the trial", tickformat: "~s", rangemode: "tozero" }, yaxis: { title: chart.text(study.objectives[0]) } },
    };
  }

  function ended(trials) {
    return trials.filter((trial) => trial.ended).sort((a, b) => (a.ended < b.ended ? -1 : 1));
  }

  function overTime(answer) {
    const trials = ended(answer.trials), better = (a, b) => (answer.minimize ? a < b : a > b);
    let best = null;
    const running = trials.map((trial) => {
      const value = trial.values[0];
      if (trial.state === "complete" && Number.isFinite(value) && (best === null || better(value, best))) best = value;
      return best;
    });
    const valued = trials.filter((trial) => trial.values.length && Number.isFinite(trial.values[0]));
    const [plain, edge] = [chart.style(0), chart.style(1)];
    return {
      data: [
        { type: "scatter", mode: "markers", name: "trials", x: valued.map((t) => t.ended), y: valued.map((t) => t.values[0]), text: valued.map(hover), hovertemplate: "%{text}<extra></extra>",
          marker: { size: 8, symbol: valued.map((t) => STATES[t.state]), color: valued.map((t) => (t.state === "complete" ? plain.colour : chart.ink("soft"))) } },
        { type: "scatter", mode: "lines", name: "best so far", x: trials.map((t) => t.ended), y: running, line: { shape: "hv", color: edge.colour, width: 2 }, hoverinfo: "skip" },
      ],
      layout: { height: 320, yaxis: { title: chart.text(answer.study.objectives[0]) }, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { l: 56, r: 16, t: 36, b: 44 } },
    };
  }

  function energy(answer) {
    const trials = ended(answer.trials), style = chart.style(2), limit = chart.style(1);
    let sum = 0;
    const running = trials.map((trial) => (sum += 1000 * trial.kwh));
    const budget = answer.study.budget_kwh && 1000 * answer.study.budget_kwh;
    const shapes = budget ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: budget, y1: budget, line: { color: limit.colour, dash: "dash", width: 2 } }] : [];
    const notes = budget ? [{ xref: "paper", x: 0, y: budget, yanchor: "bottom", xanchor: "left", showarrow: false, text: `budget ${format.si(budget, "Wh")}`, font: { color: limit.colour } }] : [];
    return {
      data: [{ type: "scatter", mode: "lines+markers", x: trials.map((t) => t.ended), y: running, line: { shape: "hv", color: style.colour, width: 2 }, marker: { size: 4 }, fill: "tozeroy", fillcolor: style.colour + "22",
        hovertemplate: "%{y:.4~s}Wh<extra></extra>" }],
      layout: { height: 320, shapes, annotations: notes, yaxis: { title: "Wh of all trials", tickformat: "~s", rangemode: "tozero", ...(budget ? { range: [0, 1.12 * Math.max(budget, sum)] } : {}) }, margin: { l: 56, r: 16, t: 36, b: 44 } },
    };
  }

  return { importance, pareto, overTime, energy, description };
})();
