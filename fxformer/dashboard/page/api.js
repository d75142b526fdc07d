"use strict";
// Requests to the server; in a report, the answers embedded in the page. The calls are the same.

const api = (() => {
  const embedded = document.getElementById("answers");
  const answers = embedded ? JSON.parse(embedded.textContent) : null;

  // A request as text: parameters by name, form-encoded. document.request_key builds the same text.
  function requestKey(path, params) {
    const given = Object.entries(params || {}).filter(([, value]) => value !== undefined && value !== null);
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)]).sort(byName));
    return given.length ? `${path}?${text}` : path;
  }

  function byName(one, other) {
    return one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0;
  }

  async function get(path, params) {
    const key = requestKey(path, params);
    if (!answers) return read(await fetch(`api/${key}`));
    if (key in answers) return answers[key];
    throw new Error("this report does not contain the answer; open the runs with `fxformer dashboard`");
  }

  async function post(path, body) {
    if (answers) throw new Error("a report is read-only; use `fxformer dashboard` to make changes");
    const headers = { "Content-Type": "application/json" };
    return read(await fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
  }

  // Posts, and calls receive(event) with each event of the answer, a line of JSON, as it comes. The
  // last event has `answer`.
  async function stream(path, body, receive, signal) {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (!response.ok) await read(response);
    const reader = response.body.getReader(), decoder = new TextDecoder();
    let complete = false;
    for (let rest = "", done = false; !done;) {
      const part = await reader.read();
      done = part.done;
      const lines = (rest + decoder.decode(part.value, { stream: !done })).split("\n");
      rest = lines.pop();
      for (const event of lines.map((line) => JSON.parse(line))) {
        if (event.error) throw new Error(event.error);
        receive(event);
        complete = "answer" in event;
      }
    }
    if (!complete) throw new Error("the server ended before the answer was complete");
  }

  async function read(response) {
    const value = await response.json().catch(() => ({ error: `HTTP status ${response.status} from the server` }));
    if (!response.ok) throw new Error(value.error);
    return value;
  }

  return { get, post, stream, live: !answers };
})();
