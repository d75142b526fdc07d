"use strict";
// Which runs are chosen: the same in all views, kept while the tab is open.

const chosen = (() => {
  const NAME = "fxformer.chosen";
  let keys = new Set(load());

  function load() {
    try {
      return JSON.parse(sessionStorage.getItem(NAME) || "[]");
    } catch {
      return [];
    }
  }

  function set(some) {
    keys = new Set(some);
    try {
      sessionStorage.setItem(NAME, JSON.stringify([...keys]));
    } catch { /* a file may have no storage */ }
  }

  function toggle(key, on = !keys.has(key)) {
    const next = new Set(keys);
    if (on) next.add(key);
    else next.delete(key);
    set(next);
  }

  // Of `there`, those that are chosen; if none is, the newest few that have something to show.
  function among(there, count = 8) {
    const some = there.filter((run) => keys.has(run.key));
    return some.length ? some : there.slice(-count);
  }

  return { set, toggle, among, has: (key) => keys.has(key), get size() { return keys.size; } };
})();
