"use strict";
// Charts of the Energy view: breakdown, cumulative CO2e, energy per 0.1 nats, other grids.

const energyParts = (() => {
  // Provenance as fill patterns, so that modelled and measured energy look different.
  const PATTERNS = { measured: "", integrated: ".", modelled: "/" };

  // Phases as bars, devices as colours, provenance as patterns; error bars: one standard deviation.
  function breakdown(answer) {
    const phases = Object.keys(answer.phases).filter((name) => answer.phases[name].joules > 0).reverse();
    const devices = Object.keys(answer.devices);
    const data = [];
    devices.forEach((device, n) => {
      for (const provenance of Object.keys(PATTERNS)) {
        const cells = answer.cells.filter(([, d, p]) => d === device && p === provenance);
        const x = phases.map((phase) => cells.filter(([ph]) => ph === phase).reduce((sum, cell) => sum + cell[3], 0));
        if (!x.some((value) => value > 0)) continue;
        const { colour } = chart.style(n);
        data.push({
          type: "bar", orientation: "h", name: `${chart.text(device)}, ${provenance}`, y: phases.map(chart.text), x,
          marker: { color: colour, pattern: { shape: PATTERNS[provenance], fillmode: "overlay", fgcolor: chart.ink("card"), fgopacity: 0.85, solidity: 0.3, size: 7 } },
          hovertemplate: `%{y}, ${chart.text(device)} (${provenance})<br>%{x:.4~s}J<extra></extra>`,
        });
      }
    });
    data.push({
      type: "scatter", mode: "markers", y: phases.map(chart.text), x: phases.map((name) => answer.phases[name].joules), marker: { size: 1, color: chart.ink("text") },
      error_x: { type: "data", array: phases.map((name) => answer.phases[name].sigma), color: chart.ink("text"), thickness: 1.2, width: 4 },
      hoverinfo: "skip", showlegend: false,
    });
    return { data, layout: { barmode: "stack", height: 90 + 34 * phases.length, showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, xaxis: { title: "joules", tickformat: "~s", rangemode: "tozero" }, margin: { l: 16, r: 16, t: 36, b: 44 } } };
  }

  function cumulative(answer, height) {
    const style = chart.style(2);
    return {
      data: [{ type: "scatter", mode: "lines", line: { shape: "hv", color: style.colour, width: 2 }, fill: "tozeroy", fillcolor: style.colour + "22",
        x: answer.time.map((seconds) => new Date(1000 * seconds).toISOString()), y: answer.gco2e, customdata: answer.kwh.map(format.wh),
        hovertemplate: "%{x}<br>%{y:.4~s}g CO2e, %{customdata}<extra></extra>" }],
      layout: { height, yaxis: { title: "g CO2e, all runs", tickformat: "~s", rangemode: "tozero" } },
    };
  }

  // curves: [[run, {nats, kwh}]]
  function costPerNat(curves) {
    const data = curves.map(([run, { nats, kwh }], n) => {
      const style = chart.style(n);
      return { type: "scatter", mode: "lines+markers", name: chart.text(run.label), x: nats, y: kwh.map((value) => 1000 * value),
        line: { color: style.colour, dash: style.dash, width: 1.5 }, marker: { symbol: style.marker, color: style.colour, size: 7 },
        hovertemplate: `${chart.text(run.label)}<br>to %{x:.2f} nats: %{y:.4~g} Wh<extra></extra>` };
    });
    return { data, layout: { height: 430, showlegend: true, legend: { orientation: "h", y: -0.16 },
      xaxis: { title: "held-out loss reached, nats", autorange: "reversed" }, yaxis: { title: "Wh for the last 0.1 nats", type: "log" } } };
  }

  // CO2e of the same energy on other grids. rows: [[name, g/kWh, own?]]
  function otherGrids(rows, joules, pue) {
    const grams = (each) => joules * pue / 3.6e6 * each;
    const sorted = [...rows].sort((a, b) => b[1] - a[1]);
    const style = chart.style(0), own = chart.style(1);
    return {
      data: [{ type: "bar", orientation: "h", y: sorted.map(([name]) => chart.text(name)), x: sorted.map(([, each]) => grams(each)),
        marker: { color: sorted.map(([, , mine]) => (mine ? own.colour : style.colour)) },
        text: sorted.map(([, each]) => format.si(grams(each), "g")), textposition: "outside", cliponaxis: false, customdata: sorted.map(([, each]) => each),
        hovertemplate: "%{y}: %{customdata} g/kWh<br>%{x:.4~s}g CO2e<extra></extra>" }],
      layout: { height: 80 + 30 * sorted.length, xaxis: { title: "g CO2e for the same energy", tickformat: "~s", range: [0, 1.3 * grams(sorted[0][1])] }, margin: { l: 16, r: 16, t: 8, b: 44 } },
    };
  }

  return { breakdown, cumulative, costPerNat, otherGrids };
})();
