"use strict";
// Table of runs: sorted, grouped, navigable with the arrow keys.

const runTable = (() => {
  const SIGNS = { done: "●", running: "◐", interrupted: "◑", failed: "✕", diverged: "✕", dead: "✕", unreadable: "?" };

  function status(run) {
    const why = run.reason && run.status !== "done" ? h("span.why", { title: run.reason }, run.reason) : null;
    return h(`span.status.${run.status}`, h("i", { "aria-hidden": true }, SIGNS[run.status] || "?"), run.status, why);
  }

  function order(runs, id, down) {
    const value = (run) => runColumns.value(run, id);
    return [...runs].sort((one, other) => {
      if (Boolean(one.pinned) !== Boolean(other.pinned)) return one.pinned ? -1 : 1;
      const [a, b] = [value(one), value(other)];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      const difference = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
      return down ? -difference : difference;
    });
  }

  function groups(runs, id) {
    if (!id) return [[null, runs]];
    const found = new Map();
    for (const run of runs) {
      const name = runColumns.text(runColumns.value(run, id));
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(run);
    }
    return [...found].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  }

  // state: {columns, sort, down, group, folded: Set}; on: {sort(id), open(run), select(run, on), all(runs, on), fold(name)}
  function draw(runs, state, on) {
    const sorted = order(runs, state.sort, state.down);
    const head = h("tr", h("th.pick", allBox(sorted, on)), state.columns.map((id) => header(id, state, on)));
    const body = h("tbody", groups(sorted, state.group).map(([name, members]) => [
      name === null ? null : groupRow(name, members, state, on),
      name !== null && state.folded.has(name) ? null : members.map((run) => row(run, state, on)),
    ]));
    const first = body.querySelector("tr.run");
    if (first) first.tabIndex = 0;
    return h("table.runs", { onkeydown: navigate, "aria-label": "runs" }, h("thead", head), body);
  }

  function allBox(runs, on) {
    const count = runs.filter((run) => selection.has(run.key)).length;
    const box = h("input", {
      type: "checkbox", "aria-label": "select all shown runs", checked: count > 0 && count === runs.length,
      indeterminate: count > 0 && count < runs.length, onchange: () => on.all(runs, box.checked),
    });
    return box;
  }

  function header(id, state, on) {
    const column = runColumns.of(id), here = state.sort === id;
    const sign = here ? (state.down ? " ↓" : " ↑") : "";
    const sort = here ? (state.down ? "descending" : "ascending") : undefined;
    return h(column.right ? "th.right" : "th", { "aria-sort": sort, scope: "col" },
      h("button.sort", { onclick: () => on.sort(id), title: column.hint || id }, column.title + sign));
  }

  function groupRow(name, runs, state, on) {
    const best = Math.min(...runs.map((run) => run.valid_loss).filter(Number.isFinite));
    const joules = runs.reduce((sum, run) => sum + (run.joules || 0), 0);
    const folded = state.folded.has(name);
    return h("tr.group", h("td", { colspan: state.columns.length + 1 },
      h("button.fold", { onclick: () => on.fold(name), "aria-expanded": !folded }, folded ? "▸ " : "▾ ", `${state.group} = ${name}`),
      h("span.soft", ` ${runs.length} ${runs.length === 1 ? "run" : "runs"}`,
        Number.isFinite(best) ? ` · best valid loss ${best.toFixed(4)}` : "", ` · ${format.si(joules, "J")}`)));
  }

  function row(run, state, on) {
    const box = h("input", {
      type: "checkbox", tabindex: -1, "aria-label": `select ${run.name}`, checked: selection.has(run.key),
      onchange: () => on.select(run, box.checked), onclick: (event) => event.stopPropagation(),
    });
    const line = h("tr.run", {
      tabindex: -1, "data-key": run.key, "aria-selected": selection.has(run.key), onclick: () => on.open(run),
    }, h("td.pick", { onclick: (event) => event.stopPropagation() }, box), state.columns.map((id) => cell(run, id)));
    return line;
  }

  function cell(run, id) {
    const column = runColumns.of(id);
    if (id === "status") return h("td", status(run));
    if (id === "name") return h("td.name", { title: run.label || run.key }, run.pinned && h("span.pin", { title: "pinned" }, "📌︎ "), run.name, run.differs && h("span.differs", run.differs), (run.tags || []).map((tag) => h("span.tag", tag)), run.notes && h("span.noted", { title: run.notes }, "✎"));
    const number = column.right || typeof runColumns.value(run, id) === "number";
    return h(number ? "td.right" : "td", column.show(run));
  }

  // Arrow keys, Home and End move between rows; Enter opens a run, space selects it.
  function navigate(event) {
    const line = event.target.closest("tr.run");
    if (!line || event.target !== line) return;
    const rows = [...event.currentTarget.querySelectorAll("tr.run")];
    const here = rows.indexOf(line);
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (next !== undefined && rows[next]) {
      line.tabIndex = -1;
      rows[next].tabIndex = 0;
      rows[next].focus();
    } else if (event.key === "Enter") line.click();
    else if (event.key === " ") line.querySelector("input").click();
    else if (next === undefined) return;
    event.preventDefault();
  }

  return { draw, row, status };
})();
