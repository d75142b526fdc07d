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
    kwh: { ...number, title: "electricity", show: (run) => format.wh(run.kwh) },
    gco2e: { ...number, title: "CO2e", show: (run) => format.si(run.gco2e, "g") },
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

  // The ids that a word may mean: a column or its head ("valid loss"), a key of the configs, else the
  // end of one ("lr" for "optimizer.lr").
  function meant(word) {
    if (word in COLUMNS) return [word];
    const head = word.toLowerCase().replace(/\s+/g, " ");
    const titled = Object.keys(COLUMNS).filter((id) => COLUMNS[id].title.toLowerCase() === head);
    if (titled.length) return titled;
    const keys = configs ? [...configs.differing, ...Object.keys(configs.shared)] : [];
    if (keys.includes(word)) return [word];
    return keys.filter((key) => key.endsWith("." + word));
  }

  // Gives each run a label that no other has: its name, and where others were given the same or are of
  // the same search, what of the config differs among them (the fewest keys that tell them apart, at most four), and
  // if that is not enough when it began.
  function label(runs) {
    const named = new Map();
    for (const run of runs) {
      const group = run.sweep ? `sweep ${run.sweep}` : run.given || run.name;
      named.set(group, [...(named.get(group) || []), run]);
    }
    for (const some of named.values()) {
      const keys = some.length > 1 ? telling(some) : [];
      const words = (run) => keys.map((key) => `${short(key)}=${text(value(run, key))}`).join(" ");
      const count = new Map();
      for (const run of some) count.set(words(run), (count.get(words(run)) || 0) + 1);
      for (const run of some) {
        const alone = some.length === 1 || count.get(words(run)) === 1;
        run.differs = [words(run), alone ? "" : format.when(run.started)].filter(Boolean).join(" · ");
        run.label = run.differs ? `${run.name} · ${run.differs}` : run.name;
      }
    }
    return runs;
  }

  // The keys of the configs that tell runs apart, those with the most values first.
  function telling(runs) {
    if (!configs) return [];
    const values = (keys) => new Set(runs.map((run) => keys.map((key) => text(value(run, key))).join("\n"))).size;
    const known = configs.differing.filter((key) => !/^(code|package|machine|name|resume)\b/.test(key) && values([key]) > 1)
      .sort((a, b) => (a === "seed") - (b === "seed") || values([b]) - values([a]));
    const kept = [];
    for (const key of known) {
      if (kept.length === 4 || values(kept) === runs.length) break;
      if (values([...kept, key]) > values(kept)) kept.push(key);
    }
    return kept;
  }

  // The last word of a key, where no other key that differs ends so.
  function short(key) {
    const word = key.split(".").pop();
    return configs.differing.filter((one) => one.split(".").pop() === word).length === 1 ? word : key;
  }

  return {
    label, own: Object.keys(COLUMNS), titles: Object.values(COLUMNS).map((column) => column.title), SHOWN, of, value, text, meant,
    know(given) { configs = given; },
    get differing() { return configs ? configs.differing : []; },
    get configs() { return configs; },
  };
})();
