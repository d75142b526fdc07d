"use strict";
// Columns of the runs table: built-in ones, scores of labelled tasks, and any key of the configs; labels
// that tell runs apart.

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
    architecture: { title: "architecture", show: (run) => run.architecture || "–" },
    sweep: { title: "sweep", show: (run) => run.sweep || "–" },
    reason: { title: "reason", show: (run) => run.reason || "–" },
    attempts: { ...number, title: "attempts", show: (run) => format.number(run.attempts) },
  };
  const SHOWN = ["name", "status", "started", "step", "train_loss", "valid_loss", "valid_bits_per_byte",
    "tokens", "seconds", "tokens_per_second", "joules", "gco2e"];
  let configs = null, scores = new Map(); // scores: id -> column

  function fixed(value) {
    return Number.isFinite(value) ? value.toFixed(4) : "–";
  }

  // "0.873 [0.861, 0.885]", or the number alone where there is no interval.
  function interval(score) {
    if (!score) return "–";
    const known = Number.isFinite(score.low) && Number.isFinite(score.high);
    return format.number(rounded(score.value)) + (known ? ` [${format.number(rounded(score.low))}, ${format.number(rounded(score.high))}]` : "");
  }

  function rounded(value) {
    return Number.isFinite(value) ? Number(value.toPrecision(3)) : value;
  }

  // Sets the columns of scores, as the server gives them.
  function setScores(given) {
    scores = new Map((given || []).map((one) => [one.id, {
      ...number, title: one.title, hint: one.signature, main: one.main, show: (run) => interval((run.scores || {})[one.id]) }]));
  }

  // The ids that the table shows at first: of scores the main ones.
  function shown() {
    const main = [...scores].filter(([, column]) => column.main).map(([id]) => id);
    const after = SHOWN.indexOf("valid_loss") + 1;
    return [...SHOWN.slice(0, after), ...main, ...SHOWN.slice(after)];
  }

  // The column of an id; an id that is no other column is a key of the configs.
  function of(id) {
    return COLUMNS[id] || scores.get(id) || { title: id, config: true, show: (run) => text(value(run, id)) };
  }

  function text(value) {
    return value === undefined ? "–" : value === null ? "null" : typeof value === "number" ? format.number(value) : String(value);
  }

  // The value to sort, filter and group by; undefined where the run has none.
  function value(run, id) {
    if (scores.has(id)) return ((run.scores || {})[id] || {}).value ?? undefined;
    if (id in COLUMNS) return id === "tags" ? (run.tags || []).join(" ") : run[id] === null ? undefined : run[id];
    if (!configs) return undefined;
    const own = configs.own[run.key] || {};
    return id in own ? own[id] : configs.shared[id];
  }

  // The ids that a name may refer to: a column by id or title ("valid loss"), a key of the configs, or
  // the last component of one ("lr" for "optimizer.lr").
  function resolve(name) {
    if (name in COLUMNS) return [name];
    const title = name.toLowerCase().replace(/\s+/g, " ");
    const titled = [...Object.keys(COLUMNS), ...scores.keys()].filter((id) => of(id).title.toLowerCase() === title);
    if (titled.length) return titled;
    const keys = configs ? [...configs.differing, ...Object.keys(configs.shared)] : [];
    if (keys.includes(name)) return [name];
    return keys.filter((key) => key.endsWith("." + name));
  }

  // Sets `run.label`, a label that no other run has: its name, and among runs of one search or of one
  // name the options in which they differ (`distinguishing`), else the time when it began.
  function label(runs) {
    const groups = new Map();
    for (const run of runs) {
      const group = run.sweep ? `sweep ${run.sweep}` : run.given || run.name;
      groups.set(group, [...(groups.get(group) || []), run]);
    }
    for (const members of groups.values()) {
      const describe = members.length > 1 ? distinguishing(members) : () => "";
      const count = new Map();
      for (const run of members) count.set(describe(run), (count.get(describe(run)) || 0) + 1);
      for (const run of members) {
        const unique = members.length === 1 || count.get(describe(run)) === 1;
        run.differs = [describe(run), unique ? "" : format.when(run.started)].filter(Boolean).join(" · ");
        run.label = run.differs ? `${run.name} · ${run.differs}` : run.name;
      }
    }
    return runs;
  }

  // run -> "key=value …" of the fewest options, at most four, that tell the runs apart. Options given
  // on the command line come first: a whole group is one of them (model=bert) and many keys of the
  // config. Keys of the config are used where they tell more runs apart.
  function distinguishing(runs) {
    const given = new Map(runs.map((run) => [run, assignments(run)]));
    const typed = pick(runs, [...new Set([...given.values()].flatMap((one) => [...one.keys()]))], (run, key) => given.get(run).get(key) ?? "–");
    const config = pick(runs, configs ? configs.differing : [], (run, key) => text(value(run, key)));
    const best = typed.keys.length && typed.groups >= config.groups ? typed : config;
    return (run) => best.keys.map((key) => `${short(key)}=${best.of(run, key)}`).join(" ");
  }

  // The overrides of a run as Map(key -> text of its value).
  function assignments(run) {
    const pairs = (run.overrides || []).map((override) => /^[+]*([^=]+)=(.*)$/.exec(override)).filter(Boolean);
    return new Map(pairs.map(([, key, text]) => [key, text]));
  }

  // Keys, those with the most values first, until the runs are told apart: {keys, of, groups}, where
  // groups counts the distinct combinations of values.
  function pick(runs, keys, of) {
    const count = (some) => new Set(runs.map((run) => some.map((key) => of(run, key)).join("\n"))).size;
    const known = keys.filter((key) => !/^(code|package|machine|name|resume|runs|search|tracker)\b/.test(key) && count([key]) > 1)
      .sort((a, b) => (a === "seed") - (b === "seed") || count([b]) - count([a]));
    const kept = [];
    for (const key of known) {
      if (kept.length === 4 || count(kept) === runs.length) break;
      if (count([...kept, key]) > count(kept)) kept.push(key);
    }
    return { keys: kept, of, groups: count(kept) };
  }

  // The last component of a key, if no other differing key has the same one.
  function short(key) {
    const last = key.split(".").pop();
    return configs && configs.differing.some((one) => one !== key && one.split(".").pop() === last) ? key : last;
  }

  return {
    label, shown, of, value, text, resolve, setScores,
    setConfigs(given) { configs = given; },
    get own() { return [...Object.keys(COLUMNS), ...scores.keys()]; },
    get titles() { return [...Object.values(COLUMNS), ...scores.values()].map((column) => column.title); },
    get differing() { return configs ? configs.differing : []; },
    get configs() { return configs; },
  };
})();
