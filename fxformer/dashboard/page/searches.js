"use strict";
// The Searches view: one study: parallel coordinates, parameter importance, Pareto front, energy,
// trials; the table of a suite; the verdict and figure of a claim.

views.add({
  id: "searches",
  title: "Searches",
  async render(root) {
    const [all, claims] = await Promise.all([api.get("searches"), api.get("claim_results")]);
    if (!all.length && !claims.length) {
      fill(root, empty(api.live ? "No search in this folder yet. Start one with -m and an interval:" : "This report contains no search.",
        api.live ? "fxformer train -m search=random 'optimizer.lr=tag(log, interval(1e-4, 1e-2))'" : null));
      return { refresh: () => views.again() };
    }
    const broken = all.filter((one) => one.problem).map((one) => h("p.error", `${one.name}: unreadable: ${one.problem}`));
    const trained = all.filter((one) => !one.problem);
    // A claim whose cells are not trained has a result without a search.
    const sound = [...trained, ...claims.filter((one) => !trained.some((own) => own.name === one.name))];
    if (!sound.length) {
      fill(root, broken);
      return { refresh: () => views.again() };
    }
    let name = sound.some((one) => one.name === views.state.search) ? views.state.search : sound[0].name;
    const bar = h("div.toolbar"), body = h("div");
    fill(bar, choice("search", sound.map((one) => [one.name, `${one.name}, ${one.total === undefined ? "claim" : `${one.total} ${one.total === 1 ? "trial" : "trials"}`}`]), name, (given) => {
      name = given;
      views.keep({ search: name });
      show();
    }));
    fill(root, bar, broken, body);
    await show();
    let last = Date.now();
    return {
      async refresh() {
        if (Date.now() - last < 8000) return;
        last = Date.now();
        await show();
      },
    };

    async function show() {
      const claim = claims.find((one) => one.name === name), untrained = !trained.some((one) => one.name === name);
      if (untrained) return fill(body, claimSection(claim));
      const answer = await api.get("search", { name });
      if (claim) return fill(body, claimSection(claim), h("p", answer.progress), trialTable(answer));
      if (answer.suite) return fill(body, suiteSection(answer), trialTable(answer));
      const lines = h("div"), importance = h("div"), front = h("div.chart"), time = h("div.chart"), energy = h("div.chart");
      fill(body, searchHead(answer), h("section.card", h("h2", "Parallel coordinates"), lines),
        h("div.columns", h("section", h("h2", "Parameter importance"), importance), h("section", h("h2", "Objective vs. energy"), front)),
        h("div.columns", h("section", h("h2", "Trials over time"), time), h("section", h("h2", "Cumulative energy"), energy)), trialTable(answer));
      coordinates(lines, answer);
      chart.draw(front, () => searchParts.pareto(answer));
      chart.draw(time, () => searchParts.overTime(answer));
      chart.draw(energy, () => searchParts.energy(answer));
      fill(importance, h("p.soft", "running the permutation test …"));
      const found = await api.get("importance", { name });
      fill(importance, typeof found === "string" ? h("p.soft", found) : searchParts.importance(found));
    }
  },
});

function searchHead(answer) {
  const { cost, study, best } = answer;
  const ended = answer.trials.filter((t) => t.state === "complete" && t.values.length).map((t) => t.values[0]).filter(Number.isFinite);
  const top = ended.length ? (answer.minimize ? Math.min(...ended) : Math.max(...ended)) : null;
  const figure = (value, label) => h("div.figure", h("strong", value), h("span.soft", label));
  const share = cost.budget_kwh ? cost.kwh / cost.budget_kwh : null;
  return [h("div.headline",
    figure(top === null ? "–" : format.number(top), `best ${study.objectives[0]}`),
    figure(format.wh(cost.kwh), share === null ? "electricity, no budget" : `electricity, ${format.percent(share)} of the budget of ${format.wh(cost.budget_kwh)}`),
    figure(format.si(cost.gco2e, "g"), "CO2 equivalent"),
    figure(cost.grid_kwh ? format.wh(cost.grid_kwh.mean) : "–", `estimate for a grid of ${cost.grid_trials} trials`)),
  h("p", answer.progress), best.length ? command(best.map(quoted).join(" ")) : null];
}

// The table of a suite of tasks; its trials have losses of different tasks, which do not compare.
function suiteSection({ suite, progress, study }) {
  const cells = (row) => row.cells.map((cell, n) => (n ? h("td", cell) : h("th", { scope: "row" }, cell)));
  return [h("p", progress),
    h("section", h("h2", suite.title), wide("results of the suite", h("table.ledger.suite", h("thead", h("tr", suite.header.map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", suite.rows.map((row) => h(`tr.${row.kind}`, cells(row)))))),
    suite.notes.map((text) => h("p.soft", text))),
    command(["fxformer", ...study.command].map(quoted).join(" "), "The command, which continues it")];
}

// Verdict, cost and figure of a study of a claim; its trials are arms, which are not ranked.
function claimSection(claim) {
  const save = (href, file, text) => h("a", { href, download: file }, text);
  const svg = `data:image/svg+xml,${encodeURIComponent(claim.figure)}`;
  const cost = `${claim.seeds} ${claim.seeds === 1 ? "seed" : "seeds"} an arm, ${format.number(claim.minutes)} minutes, ${format.si(claim.joules, "J")} (${claim.energy || "not measured"}), ${claim.date}`;
  return h("section.card", h("h2", `Claim: ${claim.verdict}`),
    claim.figure ? wide("figure", h("img.claim-figure", { src: svg, alt: `figure of ${claim.name}: effects and controls with intervals` })) : null,
    h("p.soft", cost),
    claim.figure ? h("p", "save the figure: ", save(svg, `${claim.name}.svg`, "SVG"), claim.pdf ? [" ", save(`data:application/pdf;base64,${claim.pdf}`, `${claim.name}.pdf`, "PDF")] : null) : null);
}

function command(line, title = "Train the best configuration") {
  return h("section", h("h2", title), h("div.copy", h("code.block", line), runDetail.copy(line)));
}

// Quotes an argument for a shell.
function quoted(argument) {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replace(/'/g, "'\"'\"'")}'`;
}

function coordinates(element, answer) {
  const { study, trials, minimize } = answer;
  const axes = study.space.map((one) => ({
    name: one.key, log: one.log, low: one.low, high: one.high, of: (trial) => trial.params[one.key], choices: one.kind === "choice" ? one.choices : null,
  }));
  const value = (trial) => (trial.values.length ? trial.values[0] : trial.reports.length ? trial.reports.at(-1)[1] : null);
  axes.push({ name: study.objectives[0], of: value });
  const drawn = trials.filter((trial) => Number.isFinite(value(trial)));
  const ranked = [...drawn].sort((a, b) => (minimize ? value(b) - value(a) : value(a) - value(b)));
  const rank = new Map(ranked.map((trial, n) => [trial, n / Math.max(1, ranked.length - 1)]));
  // Shades of one hue: the better the trial, the stronger; safe for colour-blind readers.
  const colour = (trial) => `color-mix(in oklab, var(--accent) ${Math.round(12 + 88 * rank.get(trial) ** 2)}%, var(--card))`;
  if (!drawn.length) fill(element, h("p.soft", "No trial has been evaluated yet."));
  else parallel.draw(element, axes, ranked, colour, (trial) => searchParts.description(trial).join("\n"));
}

function trialTable(answer) {
  const { study, minimize } = answer;
  const value = (trial) => (trial.values.length && Number.isFinite(trial.values[0]) ? trial.values[0] : null);
  const sorted = [...answer.trials].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x === null || y === null ? (x === null) - (y === null) || a.slot - b.slot : minimize ? x - y : y - x;
  });
  const keys = study.space.map((one) => one.key);
  const front = new Set(answer.pareto);
  return h("section", h("h2", "Trials"), wide("trials", h("table.ledger", h("thead", h("tr", ["trial", "state", study.objectives[0], "electricity", ...keys, "run"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", sorted.map((trial) => h("tr", h("td", `${trial.slot}${front.has(trial.slot) ? " ◆" : ""}`), h("td", trial.status, trial.reason && trial.state === "failed" ? h("span.why", { title: trial.reason }, ` ${trial.reason}`) : null),
      h("td", format.number(value(trial))), h("td", format.wh(trial.kwh)), keys.map((key) => h("td", runColumns.text(trial.params[key]))),
      h("td", trial.run ? h("a", { href: views.link("runs", { run: trial.run }) }, trial.run) : "–")))))));
}
