"use strict";
// Selected runs, shared by all views, kept in session storage while the tab is open.

const selection = (() => {
  const NAME = "fxformer.selection";
  let keys = new Set(load());

  function load() {
    try {
      return JSON.parse(sessionStorage.getItem(NAME) || "[]");
    } catch {
      return [];
    }
  }

  function set(given) {
    keys = new Set(given);
    try {
      sessionStorage.setItem(NAME, JSON.stringify([...keys]));
    } catch { /* a page opened from a file may have no storage */ }
  }

  function toggle(key, on = !keys.has(key)) {
    const next = new Set(keys);
    if (on) next.add(key);
    else next.delete(key);
    set(next);
  }

  // The selected runs among `there`; if none is selected, the newest `count`.
  function among(there, count = 8) {
    const selected = there.filter((run) => keys.has(run.key));
    return selected.length ? selected : there.slice(-count);
  }

  return { set, toggle, among, has: (key) => keys.has(key), get size() { return keys.size; } };
})();
