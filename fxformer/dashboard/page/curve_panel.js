"use strict";
// One chart of one metric: a line per run, or the mean and standard deviation per group of runs.

const curvePanel = (() => {
  const TITLES = {
    loss: "loss", nll: "loss of the targets (nll)", accuracy: "accuracy", bits_per_byte: "bits per byte",
    learning_rate: "learning rate", gradient_norm: "gradient norm", tokens_per_second: "tokens/s", mfu: "MFU",
    watts: "watts", perplexity: "perplexity",
  };
  const MAX_RAW = 12; // with more curves than this, unsmoothed curves are not drawn behind the smoothed ones

  function title(split, name) {
    return `${TITLES[name] || name.replace(/_/g, " ")}${split === "train" ? "" : `, ${split}`}`;
  }

  // groups: [{name, runs, style}]; options: {axis, smooth, logx, logy}. Draws the curves as they arrive.
  async function draw(element, message, split, name, groups, options) {
    const runs = groups.flatMap((group) => group.runs);
    const count = curveData.points(runs.length);
    const curves = new Map();
    if (split !== "train") options = { ...options, smooth: 0 }; // evaluations are few and need no smoothing
    const show = () => chart.draw(element, () => picture(groups, curves, split, name, options));
    let last = performance.now();
    const hint = setTimeout(() => fill(message, h("span.reading", { role: "status" }, `reading the metrics of ${runs.length} ${runs.length === 1 ? "run" : "runs"}; the first read takes seconds per million points …`)), 400);
    const reading = Promise.all(runs.map(async (run) => {
      const names = (options.there[run.key] || {})[split] || [];
      if (!names.includes(name)) return;
      curves.set(run.key, await curveData.get(run.key, split, name, count));
      if (performance.now() - last > 500) {
        last = performance.now();
        show();
      }
    }));
    await reading.finally(() => clearTimeout(hint));
    await show();
    element.dataset.drawn = curves.size;
    views.painted(`curve ${split}/${name}`);
    fill(message, notes(runs, curves));
  }

  function notes(runs, curves) {
    const odd = runs.filter((run) => curves.has(run.key) && curves.get(run.key).odd);
    if (!curves.size) return "none of the selected runs has logged this metric";
    return odd.map((run) => `${run.label}: ${curves.get(run.key).odd} non-finite values are not drawn. `);
  }

  function picture(groups, curves, split, name, options) {
    const scale = timeScale(curves, options.axis);
    const data = groups.flatMap((group) => {
      const drawn = group.runs.filter((run) => curves.has(run.key)).map((run) => [run, curves.get(run.key)]);
      return group.mean && drawn.length > 1 ? band(group, drawn, options, scale) : drawn.flatMap(([run, curve]) => lines(group, run, curve, options, scale, curves.size));
    });
    const [, label] = curveData.AXES[options.axis];
    const few = split !== "train" && curves.size <= MAX_RAW;
    return {
      data: few ? data.map((trace) => ({ ...trace, mode: trace.keep ? trace.mode : "lines+markers" })) : data,
      layout: {
        xaxis: { title: label + scale.unit, type: options.logx ? "log" : "linear", tickformat: scale.unit ? "" : "~s" },
        yaxis: { type: options.logy ? "log" : "linear", tickformat: name === "mfu" ? ".0%" : name === "learning_rate" ? ".1~e" : "" },
        uirevision: [split, name, options.axis, options.logx, options.logy].join(),
      },
    };
  }

  // Seconds are shown as minutes or hours where they are many.
  function timeScale(curves, axis) {
    if (axis !== "seconds") return { by: 1, unit: "" };
    const most = Math.max(0, ...[...curves.values()].map((curve) => curve.means.seconds.at(-1) || 0));
    const [by, unit] = most > 2 * 3600 ? [3600, ", hours"] : most > 300 ? [60, ", minutes"] : [1, ", seconds"];
    return { by, unit };
  }

  function lines(group, run, curve, options, scale, count) {
    const { colour, dash, marker } = group.style;
    const x = (rows) => curveData.along(curve, rows, options.axis).map((at) => (at === null ? null : at / scale.by));
    const hover = `${chart.text(run.label)}<br>%{y:.5~g} at %{x:.4~s}<extra></extra>`;
    const base = { type: "scatter", mode: "lines", name: chart.text(run.label), meta: run.key, hovertemplate: hover, marker: { symbol: marker, size: 6, color: colour } };
    if (!options.smooth) return [{ ...base, x: x(curve.extremes), y: curve.extremes.y, line: { color: colour, dash, width: 1.5 } }];
    const main = { ...base, x: x(curve.means), y: curveData.smooth(curve.means.y, options.smooth), line: { color: colour, dash, width: 2 } };
    if (count > MAX_RAW) return [main];
    return [{ ...base, mode: "lines", showlegend: false, hoverinfo: "skip", hovertemplate: null, x: x(curve.extremes), y: curve.extremes.y, line: { color: colour, width: 1 }, opacity: 0.25 }, main];
  }

  function band(group, some, options, scale) {
    const { colour, dash } = group.style;
    const { x, mean, low, high } = curveData.average(some.map(([, curve]) => ({
      x: curveData.along(curve, curve.means, options.axis).map((at) => (at === null ? null : at / scale.by)),
      y: curveData.smooth(curve.means.y, options.smooth),
    })));
    const edge = { type: "scatter", mode: "lines", keep: true, x, line: { width: 0 }, showlegend: false, hoverinfo: "skip", meta: group.name };
    const hover = `${chart.text(group.name)}, mean of ${some.length}<br>%{y:.5~g} at %{x:.4~s}<extra></extra>`;
    return [
      { ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: colour + "33" },
      { type: "scatter", mode: "lines", keep: true, x, y: mean, line: { color: colour, dash, width: 2 }, name: chart.text(group.name), meta: group.name, hovertemplate: hover },
    ];
  }

  return { draw, title };
})();
