"use strict";
// One chart of one number: a line for each run, or a mean and a band for each group of runs.

const curvePanel = (() => {
  const TITLES = {
    loss: "loss", nll: "loss of the targets (nll)", accuracy: "accuracy", bits_per_byte: "bits per byte",
    learning_rate: "learning rate", gradient_norm: "gradient norm", tokens_per_second: "tokens/s", mfu: "MFU",
    watts: "watts", perplexity: "perplexity",
  };
  const FAINT = 12; // with more curves than this, what was smoothed away is not drawn

  function title(split, name) {
    return `${TITLES[name] || name.replace(/_/g, " ")}${split === "train" ? "" : `, ${split}`}`;
  }

  // groups: [{name, runs, look}]; knobs: {axis, smooth, logx, logy}. Draws what has come so far now
  // and then, and all at the end; returns what there is to say about it.
  async function draw(element, said, split, name, groups, knobs) {
    const runs = groups.flatMap((group) => group.runs);
    const count = curveData.points(runs.length);
    const curves = new Map();
    if (split !== "train") knobs = { ...knobs, smooth: 0 }; // evaluations are few, and no noise
    const show = () => chart.draw(element, () => picture(groups, curves, split, name, knobs));
    let last = performance.now();
    const hint = setTimeout(() => fill(said, h("span.reading", { role: "status" }, `reading the metrics of ${runs.length} ${runs.length === 1 ? "run" : "runs"}; the first time takes seconds for each million points …`)), 400);
    const reading = Promise.all(runs.map(async (run) => {
      const names = (knobs.there[run.key] || {})[split] || [];
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
    fill(said, notes(runs, curves));
  }

  function notes(runs, curves) {
    const odd = runs.filter((run) => curves.has(run.key) && curves.get(run.key).odd);
    if (!curves.size) return "none of the chosen runs has logged this";
    return odd.map((run) => `${run.label}: ${curves.get(run.key).odd} values are not finite and not drawn. `);
  }

  function picture(groups, curves, split, name, knobs) {
    const scale = timeScale(curves, knobs.axis);
    const data = groups.flatMap((group) => {
      const some = group.runs.filter((run) => curves.has(run.key)).map((run) => [run, curves.get(run.key)]);
      return group.mean && some.length > 1 ? band(group, some, knobs, scale) : some.flatMap(([run, curve]) => lines(group, run, curve, knobs, scale, curves.size));
    });
    const [, words] = curveData.AXES[knobs.axis];
    const few = split !== "train" && curves.size <= FAINT;
    return {
      data: few ? data.map((trace) => ({ ...trace, mode: trace.keep ? trace.mode : "lines+markers" })) : data,
      layout: {
        xaxis: { title: words + scale.unit, type: knobs.logx ? "log" : "linear", tickformat: scale.unit ? "" : "~s" },
        yaxis: { type: knobs.logy ? "log" : "linear", tickformat: name === "mfu" ? ".0%" : name === "learning_rate" ? ".1~e" : "" },
        uirevision: [split, name, knobs.axis, knobs.logx, knobs.logy].join(),
      },
    };
  }

  // Seconds become minutes or hours when there are many.
  function timeScale(curves, axis) {
    if (axis !== "seconds") return { by: 1, unit: "" };
    const most = Math.max(0, ...[...curves.values()].map((curve) => curve.means.seconds.at(-1) || 0));
    const [by, unit] = most > 2 * 3600 ? [3600, ", hours"] : most > 300 ? [60, ", minutes"] : [1, ", seconds"];
    return { by, unit };
  }

  function lines(group, run, curve, knobs, scale, count) {
    const { colour, dash, marker } = group.look;
    const x = (rows) => curveData.along(curve, rows, knobs.axis).map((at) => (at === null ? null : at / scale.by));
    const hover = `${chart.text(run.label)}<br>%{y:.5~g} at %{x:.4~s}<extra></extra>`;
    const base = { type: "scatter", mode: "lines", meta: run.key, hovertemplate: hover, marker: { symbol: marker, size: 6, color: colour } };
    if (!knobs.smooth) return [{ ...base, x: x(curve.extremes), y: curve.extremes.y, line: { color: colour, dash, width: 1.5 } }];
    const main = { ...base, x: x(curve.means), y: curveData.smooth(curve.means.y, knobs.smooth), line: { color: colour, dash, width: 2 } };
    if (count > FAINT) return [main];
    return [{ ...base, mode: "lines", hoverinfo: "skip", hovertemplate: null, x: x(curve.extremes), y: curve.extremes.y, line: { color: colour, width: 1 }, opacity: 0.25 }, main];
  }

  function band(group, some, knobs, scale) {
    const { colour, dash } = group.look;
    const { x, mean, low, high } = curveData.average(some.map(([, curve]) => ({
      x: curveData.along(curve, curve.means, knobs.axis).map((at) => (at === null ? null : at / scale.by)),
      y: curveData.smooth(curve.means.y, knobs.smooth),
    })));
    const edge = { type: "scatter", mode: "lines", keep: true, x, line: { width: 0 }, hoverinfo: "skip", meta: group.name };
    const hover = `${chart.text(group.name)}, mean of ${some.length}<br>%{y:.5~g} at %{x:.4~s}<extra></extra>`;
    return [
      { ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: colour + "33" },
      { type: "scatter", mode: "lines", keep: true, x, y: mean, line: { color: colour, dash, width: 2 }, meta: group.name, hovertemplate: hover },
    ];
  }

  return { draw, title };
})();
