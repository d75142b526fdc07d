"use strict";
// Differences between the configs of selected runs: a row per key, a column per run.

const runDiff = (() => {
  function keys(runs, all) {
    const { configs, value } = runColumns;
    const known = [...configs.differing, ...(all ? Object.keys(configs.shared) : [])].sort(byKind);
    const text = (run, key) => runColumns.text(value(run, key));
    return known.filter((key) => all || new Set(runs.map((run) => text(run, key))).size > 1);
  }

  // Orders keys: the config first, then code, machine and package versions.
  function byKind(one, other) {
    const environment = (key) => /^(code|machine|package)\./.test(key);
    return environment(one) - environment(other) || (one < other ? -1 : 1);
  }

  function draw(runs, close) {
    const body = h("tbody");
    const shown = runs.slice(0, 12);
    const show = (all) => fill(body, keys(shown, all).map((key) => {
      const texts = shown.map((run) => runColumns.text(runColumns.value(run, key)));
      const counts = new Map();
      for (const text of texts) counts.set(text, (counts.get(text) || 0) + 1);
      const most = [...counts].sort((a, b) => b[1] - a[1])[0];
      const odd = (text) => counts.size > 1 && (most[1] === 1 || text !== most[0]);
      return h("tr", h("th", { scope: "row" }, key), texts.map((text) => h(odd(text) ? "td.odd" : "td", text)));
    }));
    show(false);
    const same = keys(shown, false).length ? null : h("p.soft", "Their configs are identical.");
    return h("section.diff", h("div.bar", h("h2", `${shown.length} configs`), tick("all keys", false, show),
      h("button.quiet", { onclick: close, "aria-label": "close" }, "✕")),
      runs.length > shown.length ? h("p.soft", `the first ${shown.length} of ${runs.length} selected runs`) : null, same,
      wide("configs", h("table.config", h("thead", h("tr", h("td"), shown.map((run) => h("th", { scope: "col", title: run.key }, run.label || run.name)))), body)));
  }

  return { draw };
})();
