"use strict";
// The Runs view: filter, table of runs, detail panel of one run.

views.add({
  id: "runs",
  title: "Runs",
  async render(root) {
    let { runs, root: folder } = await load();
    if (!runs.length) {
      fill(root, empty(`No runs in ${folder}/ yet. A training run appears here as soon as it starts:`, "fxformer train"));
      return { refresh: () => views.again() };
    }
    const state = begin();
    const bar = h("div.toolbar"), table = h("div.table"), side = h("aside.detail", { hidden: true, "aria-label": "one run" });
    const below = h("div.below"), count = h("span.soft", { role: "status" });
    const search = h("input", {
      type: "search", id: "search", value: state.q, placeholder: "/ filter: words, lr>1e-4, valid loss<2.5",
      "aria-label": "filter the runs", oninput: () => change({ q: search.value }),
    });
    const managed = h("span.managed.soft", { role: "status" });
    const on = { sort, open, select, all, fold };
    const rest = h("div.rest");
    fill(bar, search, count, rest, managed); // the filter keeps its focus while the rest is redrawn
    fill(root, bar, below, h("div.split", table, side));
    tools();
    draw();
    api.get("configs").then((configs) => {
      runColumns.setConfigs(configs);
      runColumns.label(runs);
      tools();
      draw();
    }, (error) => fill(below, views.failure(error)));
    if (state.run) open(runs.find((run) => run.key === state.run), false);

    async function load() {
      const given = await api.get("runs");
      runColumns.setScores(given.scores);
      return given;
    }

    function begin() {
      const given = views.state;
      return {
        q: given.q || "", sort: given.sort || "started", down: given.down !== "no", group: given.group || "",
        columns: given.columns ? given.columns.split(",") : runColumns.shown(), folded: new Set(), run: given.run, archived: given.archived === "1",
      };
    }

    function change(changes) {
      Object.assign(state, changes);
      views.keep(addressed());
      draw();
    }

    // The state that is kept in the address, without the run of the detail panel.
    function addressed() {
      const columns = state.columns.join(",") === runColumns.shown().join(",") ? null : state.columns.join(",");
      return { q: state.q, sort: state.sort === "started" ? null : state.sort, down: state.down ? null : "no", group: state.group, columns,
        archived: state.archived ? 1 : null };
    }

    function draw() {
      const { test, unknown } = runFilter.parse(state.q);
      const there = runs.filter((run) => state.archived || !run.archived);
      const shown = there.filter(test);
      const focus = document.activeElement && document.activeElement.closest("tr.run");
      fill(table, runTable.draw(shown, state, on));
      table.classList.toggle("scrolls", table.firstChild.scrollWidth > table.clientWidth);
      count.textContent = unknown.length ? `unknown column ${unknown.join(", ")}` : shown.length === there.length ? `${there.length} ${there.length === 1 ? "run" : "runs"}` : `${shown.length} of ${there.length} runs`;
      if (!shown.length) table.append(empty("No run matches the filter."));
      const again = focus && [...table.querySelectorAll("tr.run")].find((line) => line.dataset.key === focus.dataset.key);
      if (again) again.focus();
      mark();
    }

    // Redraws the rows of changed runs where the order stays the same.
    function redrawRows(keys) {
      for (const line of table.querySelectorAll("tr.run")) {
        if (!keys.has(line.dataset.key)) continue;
        const fresh = runTable.row(runs.find((run) => run.key === line.dataset.key), state, on);
        fresh.tabIndex = line.tabIndex;
        const focused = line === document.activeElement;
        line.replaceWith(fresh);
        if (focused) fresh.focus();
      }
    }

    function tools() {
      const keys = ["", "status", "architecture", "sweep", ...runColumns.differing];
      fill(rest, choice("group by", keys.map((key) => [key, key || "none"]), state.group, (group) => change({ group, folded: new Set() })),
        columnPicker(), archiveBox(), h("span.gap"), runManage.buttons(() => runs.filter((run) => selection.has(run.key)), managed, again),
        h("button", { id: "diff", onclick: diff }, "compare configs"), h("button", { id: "to-curves", onclick: () => { location.hash = "curves"; } }, "curves"));
      mark();
    }

    function archiveBox() {
      const count = runs.filter((run) => run.archived).length;
      return count || state.archived ? tick(`archived (${count})`, state.archived, (archived) => change({ archived })) : null;
    }

    // Reloads the runs after some were pinned, archived, deleted or restored.
    async function again() {
      ({ runs } = await load());
      runColumns.label(runs);
      tools();
      draw();
    }

    function columnPicker() {
      const options = [...runColumns.own, ...runColumns.differing];
      const box = (id) => tick(runColumns.of(id).title, state.columns.includes(id), (on) => change({
        columns: on ? [...state.columns, id] : state.columns.filter((one) => one !== id) }));
      return h("details.menu", h("summary", "columns"), h("div.options", options.map(box)));
    }

    function sort(id) {
      change(state.sort === id ? { down: !state.down } : { sort: id, down: id === "started" });
    }

    function fold(name) {
      if (!state.folded.delete(name)) state.folded.add(name);
      draw();
    }

    function select(run, on) {
      selection.toggle(run.key, on);
      mark();
    }

    function all(given, on) {
      for (const run of given) selection.toggle(run.key, on);
      mark();
    }

    // Updates the checkboxes and buttons for the selected runs.
    function mark() {
      const count = runs.filter((run) => selection.has(run.key)).length;
      for (const line of table.querySelectorAll("tr.run")) {
        const on = selection.has(line.dataset.key);
        line.setAttribute("aria-selected", on);
        line.querySelector("input").checked = on;
      }
      runManage.mark(runs.filter((run) => selection.has(run.key)));
      const compare = document.getElementById("diff");
      if (!compare) return;
      compare.disabled = count < 2 || !runColumns.configs;
      compare.textContent = count ? `compare ${count} configs` : "compare configs";
      document.getElementById("to-curves").textContent = count ? `curves of ${count}` : "curves";
    }

    function diff() {
      const selected = runs.filter((run) => selection.has(run.key));
      fill(below, runDiff.draw(selected, () => fill(below)));
    }

    // pushed: whether to add an entry to the browser's history, so that Back closes the panel
    async function open(run, pushed = true) {
      if (!run) return;
      side.hidden = false;
      root.classList.add("beside");
      if (pushed && views.state.run !== run.key) (views.state.run ? views.keep : views.push)({ run: run.key });
      try {
        await runDetail.draw(side, run, close, draw);
      } catch (error) {
        fill(side, views.failure(error));
      }
    }

    function close() {
      if (views.pushed()) history.back(); // `restore` hides the panel
      else {
        views.keep({ run: null });
        hide();
      }
    }

    function hide() {
      side.hidden = true;
      root.classList.remove("beside");
      draw();
    }

    function keys(event) {
      const typing = event.target.closest("input, textarea, select");
      if (event.key === "/" && !typing) {
        search.focus();
        event.preventDefault();
      }
      if (event.key === "Escape" && !side.hidden) close();
    }
    document.addEventListener("keydown", keys);

    return {
      leave: () => document.removeEventListener("keydown", keys),
      // Back and forward between the detail panel and the table, without rendering the view again.
      restore(given) {
        const { run: key, ...rest } = given;
        const own = { ...addressed(), run: null };
        for (const name of Object.keys(own)) if (String(own[name] ?? "") !== String(rest[name] ?? "")) return false;
        const run = runs.find((one) => one.key === key);
        if (run) open(run, false);
        else hide();
        return true;
      },
      async refresh(changed) {
        const keys = runs.map((run) => run.key).join();
        ({ runs } = await load());
        runColumns.label(runs);
        const settled = ["started", "name"].includes(state.sort) && !state.q && !state.group;
        if (settled && keys === runs.map((run) => run.key).join()) redrawRows(changed);
        else draw();
      },
    };
  },
});
