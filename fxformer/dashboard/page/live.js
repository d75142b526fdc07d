"use strict";
// Asks the server now and then which runs have changed, and tells the shown view.

const live = (() => {
  const OFTEN = 2000, SELDOM = 8000; // ms; often while something changes
  let marks = null, wait = OFTEN;

  async function look() {
    if (document.hidden) return;
    const now = await api.get("pulse");
    const changed = new Set();
    if (marks) {
      for (const key of new Set([...Object.keys(now), ...Object.keys(marks)])) {
        if (now[key] !== marks[key]) changed.add(key);
      }
    }
    marks = now;
    wait = changed.size ? OFTEN : Math.min(SELDOM, wait * 1.5);
    if (changed.size) await views.refresh(changed);
  }

  async function round() {
    try {
      await look();
      say("live", "");
    } catch {
      say("no answer: the server has ended?", "lost");
      wait = SELDOM;
    }
    setTimeout(round, wait);
  }

  function say(words, kind) {
    const pulse = document.getElementById("pulse");
    if (pulse.textContent === words) return;
    pulse.className = kind;
    pulse.textContent = words;
  }

  function start() {
    if (api.live) round();
    else say("a report: nothing here changes", "");
    document.addEventListener("visibilitychange", () => { if (!document.hidden) wait = OFTEN; });
  }

  return { start };
})();
