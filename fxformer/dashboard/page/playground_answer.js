"use strict";
// The answer of one model in the Playground view: text as it comes, or a table; its cost.

const playgroundAnswer = (() => {
  // card(model): {element, start(), receive(event), fail(), stopped()}
  function card(model) {
    const body = h("div.answer-body", h("p.soft.busy-line", "waiting …"));
    const cost = h("p.soft.cost");
    const element = h("section.playground-answer", { "aria-label": `answer of ${model.id}` },
      h("h2", model.id, model.step === null ? null : h("span.soft", ` step ${model.step}`)), body, cost);
    let written = null;

    function receive(event) {
      if (event.piece !== undefined) {
        if (!written) {
          written = h("p.running.written");
          fill(body, written);
        }
        written.append(event.piece);
        return;
      }
      fill(body, event.answer.columns ? table(event.answer) : text(event.answer));
      cost.textContent = costLine(event.answer, event.cost);
    }

    function ended(words) {
      if (written) cost.textContent = words;
      else fill(body, h("p.soft", words));
    }

    return { element, receive, start: () => fill(body, h("p.soft.busy-line", "computing …")),
      fail: () => ended("no answer"), stopped: () => ended("stopped") };
  }

  function text(answer) {
    if (!answer.text) return h("p.soft", "The model generated special tokens only, which have no text.");
    return h("p.running.written", answer.text);
  }

  function table(answer) {
    const last = answer.columns.length - 1;
    const rows = answer.rows.map((row) => h("tr", row.map((value, at) =>
      h(at === last ? "td.right" : "td.word", typeof value === "number" && at === last ? value.toFixed(4) : value))));
    return [
      answer.note && h("p", answer.note),
      rows.length ? wide("answer", h("table", h("thead", h("tr", answer.columns.map((name, at) =>
        h(at === last ? "th.right" : "th", { scope: "col" }, name)))), h("tbody", rows))) : null,
    ];
  }

  function costLine(answer, cost) {
    const parts = [], compiling = cost.compile_milliseconds > 0 ? " with compiling" : "";
    if (answer.tokens !== undefined) {
      parts.push(`${answer.tokens} tokens, ${answer.ended ? "ended by itself" : "ended by the limit"}`);
      parts.push(`score ${answer.score.toFixed(2)}`);
    }
    parts.push(seconds(cost.milliseconds));
    if (cost.first_milliseconds !== null) parts.push(`first text after ${seconds(cost.first_milliseconds)}`);
    if (cost.compile_milliseconds > 0) parts.push(`${seconds(cost.compile_milliseconds)} of it compiling`);
    if (cost.tokens_per_second !== null) parts.push(`${format.three(cost.tokens_per_second)} tokens/s${compiling}`);
    for (const [kind, joules] of Object.entries(cost.joules)) parts.push(`${format.si(joules, "J")} ${kind}`);
    return parts.join(" · ");
  }

  function seconds(milliseconds) {
    return milliseconds < 1000 ? `${format.three(milliseconds)} ms` : `${format.three(milliseconds / 1000)} s`;
  }

  return { card };
})();
