"use strict";
// The Curves view: metrics over steps, tokens, time, FLOPs or joules.

views.add({
  id: "curves",
  title: "Curves",
  async render(root) {
    const FIRST = ["valid/loss", "train/loss", "valid/bits_per_byte", "train/accuracy", "train/learning_rate",
      "train/gradient_norm", "train/tokens_per_second", "train/mfu", "train/watts"];
    let [{ runs }, curves, configs] = await Promise.all([api.get("runs"), api.get("curves"), api.get("configs")]);
    runColumns.setConfigs(configs);
    runs = runColumns.label(runs.filter((run) => Object.keys(curves.runs[run.key] || {}).length));
    const bias = h("section.comparisons.bias");
    if (!runs.length) {
      fill(root, empty("No run has logged metrics yet.", "fxformer train"), h("div.charts", bias));
      biasSection.draw(bias);
      return { refresh: () => views.again() };
    }
    const state = begin();
    const bar = h("div.toolbar"), side = h("aside.legend", { "aria-label": "drawn runs" });
    const panels = h("div.panels"), note = h("div.note");
    const comparisons = h("section.comparisons");
    fill(root, bar, h("div.split.reverse", side, h("div.charts", note, panels, comparisons, bias)));
    const seen = new IntersectionObserver((entries) => entries.forEach((e) => e.isIntersecting && paint(e.target)), { rootMargin: "300px" });
    tools();
    all();
    comparisonsSection.draw(comparisons, () => shown());
    biasSection.draw(bias);

    function begin() {
      const given = views.state;
      return {
        axis: given.x || "step", smooth: Number(given.smooth || 0), logx: given.logx === "1", logy: given.logy === "1",
        group: given.group || "", panels: given.panels ? given.panels.split(",") : defaults(),
      };
    }

    function defaults() {
      const there = names();
      return FIRST.filter((id) => there.includes(id)).slice(0, 7);
    }

    function names() {
      const found = new Set();
      for (const run of shown()) for (const [split, metrics] of Object.entries(curves.runs[run.key])) for (const name of metrics) found.add(`${split}/${name}`);
      return [...found].sort();
    }

    function shown() {
      return selection.among(runs);
    }

    // The drawn runs, in groups that share a colour.
    function groups() {
      const drawn = shown();
      if (!state.group) return drawn.map((run, n) => ({ name: run.label, runs: [run], style: chart.style(n) }));
      const found = new Map();
      for (const run of drawn) {
        const name = state.group === "seed" ? configs.alike[run.key] : runColumns.text(runColumns.value(run, state.group));
        if (!found.has(name)) found.set(name, []);
        found.get(name).push(run);
      }
      return [...found].map(([name, members], n) => ({
        name: state.group === "seed" ? `${members[0].name}${members.length > 1 ? `, ${members.length} seeds` : ""}` : `${state.group} = ${name}`, runs: members, style: chart.style(n), mean: true,
      }));
    }

    function change(changes, tooled) {
      Object.assign(state, changes);
      const usual = state.panels.join() === defaults().join();
      views.keep({ x: state.axis === "step" ? null : state.axis, smooth: state.smooth || null, logx: state.logx ? 1 : null,
        logy: state.logy ? 1 : null, group: state.group, panels: usual ? null : state.panels.join() });
      if (!tooled) return again();
      tools();
      return all();
    }

    function tools() {
      const slider = h("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: state.smooth, "aria-label": "smoothing",
        oninput: () => change({ smooth: Number(slider.value) }) });
      const keys = [["", "individual runs"], ["seed", "mean ± std over seeds"], ...runColumns.differing.filter((key) => key !== "seed").map((key) => [key, `mean by ${key}`])];
      const more = names().filter((id) => !state.panels.includes(id)).map((id) => [id, id]);
      fill(bar,
        choice("x axis", Object.entries(curveData.AXES).map(([id, [label]]) => [id, label]), state.axis, (axis) => change({ axis })),
        h("label.choice", h("span", "smoothing"), slider),
        tick("log x", state.logx, (logx) => change({ logx })), tick("log y", state.logy, (logy) => change({ logy })),
        choice("group by", keys, state.group, (group) => change({ group })),
        choice("add metric", [["", "select …"], ...more], "", (id) => id && change({ panels: [id, ...state.panels] }, true)));
    }

    // Redraws the charts with changed options or runs; those out of sight when they are scrolled to.
    function again() {
      seen.disconnect();
      curveRuns.draw(side, runs, groups(), { choose, only, point });
      fill(note, differs());
      for (const panel of panels.children) {
        delete panel.querySelector(".chart").dataset.drawn;
        seen.observe(panel);
      }
    }

    function all() {
      fill(panels, state.panels.map((id, n) => {
        const [split, name] = id.split("/");
        const panel = h(n ? "figure.panel" : "figure.panel.first", { "data-panel": id },
          h("figcaption", h("h2", curvePanel.title(split, name)), h("span.gap"),
            n ? h("button.quiet", { onclick: () => change({ panels: [id, ...state.panels.filter((one) => one !== id)] }, true), title: "show as the large chart" }, "enlarge") : null,
            h("button.quiet", { onclick: () => change({ panels: state.panels.filter((one) => one !== id) }, true), "aria-label": `remove ${id}` }, "✕")),
          h("div.chart"), h("p.soft.message"));
        return panel;
      }));
      chart.sweep();
      again();
    }

    async function paint(panel) {
      seen.unobserve(panel);
      const [split, name] = panel.dataset.panel.split("/");
      try {
        await curvePanel.draw(panel.querySelector(".chart"), panel.querySelector(".message"), split, name, groups(), { ...state, there: curves.runs });
      } catch (error) {
        fill(panel.querySelector(".message"), views.failure(error));
      }
    }

    // A note that losses of different objectives are not comparable.
    function differs() {
      const kinds = new Set(shown().map((run) => runColumns.value(run, "objective._target_")));
      if (kinds.size < 2) return null;
      return h("p", `These runs have ${kinds.size} objectives, whose losses are not comparable. See the comparison on the same spans below.`);
    }

    function choose(run, on) {
      if (!selection.size) selection.set(shown().map((one) => one.key));
      selection.toggle(run.key, on);
      tools();
      again();
    }

    function only(given) {
      selection.set(given.map((run) => run.key));
      tools();
      again();
    }

    // Highlights the run under the pointer in every chart.
    function point(group, run) {
      for (const element of panels.querySelectorAll(".chart")) {
        if (!element.data) continue;
        const mine = (trace) => !group || trace.meta === run.key || trace.meta === group.name;
        for (const [n, line] of [...element.querySelectorAll(".scatterlayer .trace")].entries()) {
          line.style.opacity = element.data[n] && mine(element.data[n]) ? "" : 0.15;
        }
      }
    }

    function keys(event) {
      if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
      document.getElementById("search").focus();
      event.preventDefault();
    }
    document.addEventListener("keydown", keys);

    return {
      leave() {
        seen.disconnect();
        document.removeEventListener("keydown", keys);
      },
      async refresh(changed) {
        curveData.forget(changed);
        [{ runs }, curves] = await Promise.all([api.get("runs"), api.get("curves")]);
        runs = runColumns.label(runs.filter((run) => Object.keys(curves.runs[run.key] || {}).length));
        if (shown().some((run) => changed.has(run.key))) for (const panel of panels.children) seen.observe(panel);
      },
    };
  },
});
