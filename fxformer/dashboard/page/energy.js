"use strict";
// The Energy view: totals, breakdown by phase and device, energy per 0.1 nats, other grids.

views.add({
  id: "energy",
  title: "Energy",
  async render(root) {
    const waiting = h("p.soft", { role: "status" }, "summing the energy ledgers …");
    fill(root, waiting);
    const stop = follow(waiting);
    let answer, cumulative, regions, runs, configs;
    try {
      answer = await api.get("energy");
      [cumulative, regions, { runs }, configs] = await Promise.all(["cumulative", "regions", "runs", "configs"].map((path) => api.get(path)));
    } finally {
      stop();
    }
    if (!answer.total.joules) {
      fill(root, empty("No run has an energy ledger yet. Every training run writes one by default.", "fxformer train"));
      return { refresh: () => views.again() };
    }
    runColumns.setConfigs(configs);
    runColumns.label(runs);
    const named = new Map(runs.map((run) => [run.key, run]));
    const where = h("div.chart"), cumulativeChart = h("div.chart"), costs = h("div.chart"), other = h("div.chart");
    const elsewhere = h("div.toolbar"), costNote = h("p.soft"), head = h("div"), table = h("section");
    fill(root, head, h("div.columns",
      h("section", h("h2", "Energy by phase and device"), where, h("p.soft", "Hatched: modelled. Dotted: integrated from power samples. Plain: energy counter. Error bars: one standard deviation.")),
      h("section", h("h2", "Cumulative CO2e"), cumulativeChart)),
    h("div.columns",
      h("section", h("h2", "Energy per 0.1 nats"), costs, costNote),
      h("section", h("h2", "CO2e on other grids"), elsewhere, other)), table);
    paint(answer, cumulative);
    grids(elsewhere, other, answer, regions);
    await costPerNat(costs, costNote, runs);
    let last = Date.now();

    return {
      async refresh() {
        if (Date.now() - last < 10_000) return;
        last = Date.now();
        paint(...await Promise.all([api.get("energy"), api.get("cumulative")]));
      },
    };

    function paint(now, grown) {
      fill(head, headline(now));
      fill(table, h("h2", "Energy ledger"), ledger(now, named));
      chart.draw(where, () => energyParts.breakdown(now));
      chart.draw(cumulativeChart, () => energyParts.cumulative(grown, Math.max(240, 90 + 34 * Object.keys(now.phases).length)));
    }

    async function costPerNat(element, note) {
      const shown = selection.among(runs.filter((run) => Number.isFinite(run.valid_loss)), 6).slice(0, 10);
      const curves = await Promise.all(shown.map(async (run) => [run, await api.get("cost_per_nat", { run: run.key })]));
      const fell = curves.filter(([, one]) => one.nats.length);
      if (!fell.length) {
        fill(note, "In no selected run did the held-out loss fall by 0.1 nats between evaluations. Evaluate more often: trainer.eval_every=…");
        return;
      }
      fill(note, `Energy used between one level of the held-out loss and the next. ${selection.size ? "Selected runs" : "Newest runs; select others under Runs"}.`);
      await chart.draw(element, () => energyParts.costPerNat(fell));
    }
  },
});

// Shows how many ledgers the server has summed, until the returned function is called.
function follow(element) {
  const timer = api.live && setInterval(async () => {
    const [done, all] = await api.get("progress").catch(() => [0, 0]);
    if (all) element.textContent = `summing the energy ledgers: ${done} of ${all} runs …`;
  }, 500);
  return () => clearInterval(timer);
}

function headline(answer) {
  const { total } = answer;
  const share = (name) => (total.shares[name] || 0) / total.joules;
  const figure = (value, label) => h("div.figure", h("strong", value), h("span.soft", label));
  return h("div.headline",
    figure(format.si(total.joules, "J"), `± ${format.percent(total.sigma / total.joules)} (1σ)`),
    figure(format.wh(answer.kwh), "electricity from the grid, PUE included"),
    figure(format.si(answer.gco2e, "g"), "CO2 equivalent"),
    figure(String(answer.runs.length), answer.runs.length === 1 ? "run, all attempts" : "runs, all attempts"),
    h("div.figure.shares", h("div.share", { role: "img", "aria-label": total.provenance }, ["measured", "integrated", "modelled"].map((name) =>
      h(`i.${name}`, { style: { flexGrow: share(name) }, title: `${name} ${format.percent(share(name))}` }))), h("span.soft", total.provenance)));
}

// Table of the energy of each run, the largest first; runs of one sweep are grouped under their sum.
function ledger(answer, named) {
  const most = Math.max(...answer.runs.map((run) => run.joules));
  const sweeps = new Map();
  for (const run of answer.runs) {
    const name = run.sweep || "";
    if (!sweeps.has(name)) sweeps.set(name, []);
    sweeps.get(name).push(run);
  }
  const sum = (some, what) => some.reduce((total, run) => total + run[what], 0);
  const groups = [...sweeps].sort((a, b) => sum(b[1], "joules") - sum(a[1], "joules"));
  const small = (value, factor, unit) => (value === null ? "–" : format.si(factor * value, unit));
  const line = (run) => h("tr", h("td.name", { title: run.key }, (named.get(run.key) || { label: run.key }).label), h("td", run.status),
    h("td.right", format.si(run.joules, "J")), h("td.right", format.si(run.sigma, "J")), h("td.bar-cell", h("i", { style: { width: `${100 * run.joules / most}%` } })),
    h("td.right", format.si(run.gco2e, "g")), h("td.right", small(run.per_step, 1, "J")), h("td.right", small(run.per_token, 1, "J")),
    h("td.right", small(run.per_tenth, 1000, "Wh")), h("td", run.provenance), h("td", `${run.grid}, ${format.number(run.gco2e_per_kwh)} g/kWh, PUE ${run.pue}`));
  const titles = ["run", "status", "energy", "± 1σ", "", "CO2e", "per step", "per token", "per 0.1 nats", "provenance", "grid"];
  const right = new Set(["energy", "± 1σ", "CO2e", "per step", "per token", "per 0.1 nats"]);
  return wide("energy of each run", h("table.ledger", h("thead", h("tr", titles.map((title) => (title ? h(right.has(title) ? "th.right" : "th", { scope: "col" }, title) : h("td"))))),
    h("tbody", groups.map(([name, some]) => [
      name && h("tr.group", h("td", { colspan: 2 }, `sweep ${name}, ${some.length} ${some.length === 1 ? "run" : "runs"}`), h("td.right", format.si(sum(some, "joules"), "J")), h("td", { colspan: 2 }), h("td.right", format.si(sum(some, "gco2e"), "g")), h("td", { colspan: 5 })),
      [...some].sort((a, b) => b.joules - a.joules).map(line),
    ]))));
}

// CO2e of the same energy on other grids: a default list, regions to add, another PUE.
function grids(bar, element, answer, regions) {
  const byCode = new Map(regions.map((row) => [row[0], row]));
  const mine = new Map(answer.runs.map((run) => [run.grid, run.gco2e_per_kwh]));
  const codes = new Set(["SWE", "FRA", "CAN", "BRA", "GBR", "USA", "DEU", "CHN", "POL", "IND"].filter((code) => byCode.has(code)));
  let pue = Math.max(1, ...answer.runs.map((run) => run.pue || 1));
  const list = h("datalist", { id: "regions" }, regions.map(([code, name, each]) => h("option", { value: code }, `${name}, ${each} g/kWh`)));
  const add = h("input", { list: "regions", placeholder: "add a region: DEU, USA-CA …", "aria-label": "add a region", onchange: () => {
    const code = add.value.trim().toUpperCase();
    const found = byCode.has(code) ? code : (regions.find((row) => row[1].toUpperCase() === code) || [])[0];
    if (found) codes.add(found);
    message.textContent = found ? `${byCode.get(found)[1]}: ${byCode.get(found)[3]}, ${byCode.get(found)[4]}` : `unknown region ${add.value}`;
    add.value = "";
    draw();
  } });
  const overhead = h("input", { type: "number", min: 1, max: 3, step: 0.05, value: pue, "aria-label": "PUE", onchange: () => {
    pue = Math.max(1, Number(overhead.value) || 1);
    draw();
  } });
  const message = h("span.soft", { role: "status" });
  fill(bar, add, list, h("label.choice", h("span", "PUE"), overhead), message);
  const draw = () => {
    const rows = [...[...mine].map(([name, each]) => [`this grid: ${name}`, each, true]), ...[...codes].map((code) => [byCode.get(code)[1], byCode.get(code)[2], false])];
    return chart.draw(element, () => energyParts.otherGrids(rows, answer.total.joules, pue));
  };
  return draw();
}
