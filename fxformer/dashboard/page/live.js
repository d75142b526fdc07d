"use strict";
// Polls the server for changed runs and refreshes the shown view.

const live = (() => {
  const SHORTEST = 2000, LONGEST = 8000; // ms between polls; short while runs change
  let revisions = null, wait = SHORTEST;

  async function poll() {
    if (document.hidden) return;
    const now = await api.get("revisions");
    const changed = new Set();
    if (revisions) {
      for (const key of new Set([...Object.keys(now), ...Object.keys(revisions)])) {
        if (now[key] !== revisions[key]) changed.add(key);
      }
    }
    revisions = now;
    wait = changed.size ? SHORTEST : Math.min(LONGEST, wait * 1.5);
    if (changed.size) await views.refresh(changed);
  }

  async function loop() {
    try {
      await poll();
      report("live", "");
    } catch {
      report("no answer from the server", "lost");
      wait = LONGEST;
    }
    setTimeout(loop, wait);
  }

  function report(text, kind) {
    const element = document.getElementById("connection");
    if (element.textContent === text) return;
    element.className = kind;
    element.textContent = text;
  }

  function start() {
    if (api.live) loop();
    else report("static report", "");
    document.addEventListener("visibilitychange", () => { if (!document.hidden) wait = SHORTEST; });
  }

  return { start };
})();
