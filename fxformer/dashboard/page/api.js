"use strict";
// Where answers come from: the server, or, in a report, the page itself. The call is the same.

const api = (() => {
  const held = document.getElementById("answers");
  const answers = held ? JSON.parse(held.textContent) : null;

  // A question as text: parameters by name, encoded like a form. report.py spells it the same.
  function spelled(path, params) {
    const given = Object.entries(params || {}).filter(([, value]) => value !== undefined && value !== null);
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)]).sort(byName));
    return given.length ? `${path}?${text}` : path;
  }

  function byName(one, other) {
    return one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0;
  }

  async function get(path, params) {
    const question = spelled(path, params);
    if (!answers) return read(await fetch(`api/${question}`));
    if (question in answers) return answers[question];
    throw new Error("this report holds no answer to that; `fxformer dashboard` does");
  }

  async function post(path, body) {
    if (answers) throw new Error("a report cannot be changed; `fxformer dashboard` can");
    const headers = { "Content-Type": "application/json" };
    return read(await fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
  }

  async function read(response) {
    const value = await response.json().catch(() => ({ error: `the server said ${response.status}` }));
    if (!response.ok) throw new Error(value.error);
    return value;
  }

  return { get, post, live: !answers };
})();
