"use strict";
// List of runs beside the curves: selects the drawn runs; also the legend.

const curveRuns = (() => {
  const MOST = 120; // rows of the list

  function swatch({ colour, dash, marker }) {
    const DASH = { solid: "", dash: "6 3", dot: "2 3", dashdot: "6 2 2 2", longdash: "10 4" };
    return svg("svg", { width: 26, height: 10, "aria-hidden": true, class: "swatch", "data-marker": marker },
      svg("line", { x1: 0, y1: 5, x2: 26, y2: 5, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": DASH[dash] }));
  }

  // on: {choose(run, on), only(runs), point(group or null)}
  function draw(root, runs, groups, on) {
    const drawn = new Map(groups.flatMap((group) => group.runs.map((run) => [run.key, group])));
    const list = h("ul.runs-list");
    const before = root.querySelector("input[type=search]"), focused = document.activeElement;
    const find = h("input", { type: "search", value: before ? before.value : "", placeholder: "/ find runs", "aria-label": "find runs", id: "search" });
    const show = () => {
      const { test } = runFilter.parse(find.value);
      const found = runs.filter(test);
      const order = [...found.filter((run) => drawn.has(run.key)), ...found.filter((run) => !drawn.has(run.key)).reverse()];
      fill(list, order.slice(0, MOST).map((run) => item(run, drawn.get(run.key), on)),
        order.length > MOST && h("li.soft", `${order.length - MOST} more: use the search`));
      only.disabled = !find.value || !found.length;
      only.textContent = find.value ? `draw ${found.length} matches` : "draw matches";
      only.onclick = () => on.only(found);
    };
    const only = h("button.quiet", "draw matches");
    find.addEventListener("input", show);
    fill(root, find, only, list);
    show();
    if (focused === before && before) find.focus();
    const same = focused && focused.dataset.key && [...list.querySelectorAll("input")].find((box) => box.dataset.key === focused.dataset.key);
    if (same) same.focus(); // keeps the keyboard focus
  }

  function item(run, group, on) {
    const box = h("input", { type: "checkbox", "data-key": run.key, checked: Boolean(group), onchange: () => on.choose(run, box.checked) });
    return h("li", {
      onmouseenter: () => group && on.point(group, run), onmouseleave: () => on.point(null),
    }, h("label", box, group ? swatch(group.style) : h("span.noswatch"), h("span.run-name", { title: run.key }, run.label),
      h("span.soft", Number.isFinite(run.valid_loss) ? run.valid_loss.toFixed(3) : run.status)));
  }

  return { draw, swatch };
})();
