"use strict";
// What the table of runs can show: its own columns, and any key of the configs.

const runColumns = (() => {
  const number = { sort: "number", right: true };
  const COLUMNS = {
    name: { title: "run", show: (run) => run.name },
    status: { title: "status", show: (run) => run.status },
    tags: { title: "tags", show: (run) => (run.tags || []).join(", ") },
    started: { title: "started", show: (run) => format.when(run.started) },
    step: { ...number, title: "step", show: (run) => format.number(run.step) },
    train_loss: { ...number, title: "train loss", show: (run) => fixed(run.train_loss) },
    valid_loss: { ...number, title: "valid loss", show: (run) => fixed(run.valid_loss) },
    best: { ...number, title: "best", show: (run) => fixed(run.best) },
    valid_bits_per_byte: { ...number, title: "bits/byte", show: (run) => fixed(run.valid_bits_per_byte) + (run.lossy ? ` (${run.lossy})` : "") },
    valid_accuracy: { ...number, title: "accuracy", show: (run) => format.percent(run.valid_accuracy) },
    valid_perplexity: { ...number, title: "perplexity", show: (run) => format.number(run.valid_perplexity) },
    tokens: { ...number, title: "tokens", show: (run) => format.si(run.tokens) },
    seconds: { ...number, title: "time", show: (run) => format.clock(run.seconds) },
    tokens_per_second: { ...number, title: "tokens/s", show: (run) => format.si(run.tokens_per_second) },
    mfu: { ...number, title: "MFU", show: (run) => format.percent(run.mfu) },
    joules: { ...number, title: "energy", show: (run) => format.si(run.joules, "J") },
    kwh: { ...number, title: "kWh", show: (run) => format.number(run.kwh) },
    gco2e: { ...number, title: "gCO2e", show: (run) => format.si(run.gco2e, "g") },
    parameters: { ...number, title: "parameters", show: (run) => format.si(run.parameters) },
    architecture: { title: "kind", show: (run) => run.architecture || "–" },
    sweep: { title: "sweep", show: (run) => run.sweep || "–" },
    reason: { title: "reason", show: (run) => run.reason || "–" },
    attempts: { ...number, title: "attempts", show: (run) => format.number(run.attempts) },
  };
  const SHOWN = ["name", "status", "started", "step", "train_loss", "valid_loss", "valid_bits_per_byte",
    "tokens", "seconds", "tokens_per_second", "joules", "gco2e"];
  let configs = null;

  function fixed(value) {
    return Number.isFinite(value) ? value.toFixed(4) : "–";
  }

  // A column of its name; any other name is a key of the configs.
  function of(id) {
    return COLUMNS[id] || { title: id, config: true, show: (run) => text(value(run, id)) };
  }

  function text(value) {
    return value === undefined ? "–" : value === null ? "null" : typeof value === "number" ? format.number(value) : String(value);
  }

  // What to sort, filter and group by; undefined where the run has nothing of the kind.
  function value(run, id) {
    if (id in COLUMNS) return id === "tags" ? (run.tags || []).join(" ") : run[id] === null ? undefined : run[id];
    if (!configs) return undefined;
    const own = configs.own[run.key] || {};
    return id in own ? own[id] : configs.shared[id];
  }

  // The ids that a word may mean: exactly, else the end of a key ("lr" for "optimizer.lr").
  function meant(word) {
    if (word in COLUMNS) return [word];
    const keys = configs ? [...configs.differing, ...Object.keys(configs.shared)] : [];
    if (keys.includes(word)) return [word];
    return keys.filter((key) => key.endsWith("." + word));
  }

  // Gives each run a label that no other has: its name, and where that is another's too, what of the
  // config differs among those of the name, or else when it began.
  function label(runs) {
    const named = new Map();
    for (const run of runs) named.set(run.name, [...(named.get(run.name) || []), run]);
    for (const [name, some] of named) {
      const key = some.length > 1 && configs && configs.differing.find((one) =>
        !/^(code|package|machine|name)\b/.test(one) && new Set(some.map((run) => text(value(run, one)))).size === some.length);
      for (const run of some) {
        run.label = some.length === 1 ? name : key ? `${name} · ${key.split(".").pop()}=${text(value(run, key))}` : `${name} · ${format.when(run.started)}`;
      }
    }
    return runs;
  }

  return {
    label, own: Object.keys(COLUMNS), SHOWN, of, value, text, meant,
    know(given) { configs = given; },
    get differing() { return configs ? configs.differing : []; },
    get configs() { return configs; },
  };
})();
