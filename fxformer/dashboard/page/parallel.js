"use strict";
// Parallel coordinates of the trials of a search. Dragging along an axis filters the trials by that
// range; clicking the axis clears the filter.

const parallel = (() => {
  const HEIGHT = 320, TOP = 34, BOTTOM = 26, SIDE = 70;

  // axes: [{name, of(trial), log, choices}]; trials: [{slot, state, …}]; colour(trial) -> css colour
  function draw(root, axes, trials, colour, describe) {
    const width = Math.max(560, root.clientWidth || 900);
    const step = (width - 2 * SIDE) / Math.max(1, axes.length - 1);
    const placed = axes.map((axis, n) => ({ ...axis, x: SIDE + n * step, ...scale(axis, trials), brush: null }));
    const message = h("span.soft", { role: "status" });
    const picture = svg("svg", { class: "parallel", viewBox: `0 0 ${width} ${HEIGHT}`, width: "100%", role: "img", "aria-label": "parallel coordinates of the trials" });
    const lines = new Map(trials.map((trial) => {
      const points = placed.map((axis) => [axis.x, axis.y(axis.of(trial))]);
      const known = points.filter(([, y]) => y !== null);
      const line = svg("polyline", { points: known.map((p) => p.join(",")).join(" "), fill: "none", stroke: colour(trial), class: `trial ${trial.state}` },
        svg("title", {}, describe(trial)));
      return [trial, line];
    }));
    add(picture, [...lines.values()]);
    for (const axis of placed) add(picture, [drawAxis(axis, picture, select)]);
    fill(root, picture, message);
    select();

    function select() {
      let kept = 0;
      for (const [trial, line] of lines) {
        const inside = placed.every(({ brush, of, y }) => {
          if (!brush) return true;
          const at = y(of(trial));
          return at !== null && at >= brush[0] && at <= brush[1];
        });
        line.classList.toggle("out", !inside);
        kept += inside;
      }
      message.textContent = kept === trials.length ? "Drag along an axis to filter the trials by a range." : `${kept} of ${trials.length} trials`;
    }
  }

  // {y(value) -> coordinate or null, ticks: [[coordinate, label]]}
  function scale(axis, trials) {
    const from = HEIGHT - BOTTOM, to = TOP;
    if (axis.choices) {
      const place = new Map(axis.choices.map((choice, n) => [JSON.stringify(choice), from + (to - from) * (n + 0.5) / axis.choices.length]));
      const y = (value) => place.get(JSON.stringify(value)) ?? null;
      return { y, ticks: axis.choices.map((choice) => [y(choice), runColumns.text(choice)]) };
    }
    const values = trials.map(axis.of).filter(Number.isFinite);
    const transform = axis.log ? Math.log : (value) => value;
    const low = transform(axis.low ?? Math.min(...values)), high = transform(axis.high ?? Math.max(...values));
    const y = (value) => (Number.isFinite(value) ? from + (to - from) * (high > low ? (transform(value) - low) / (high - low) : 0.5) : null);
    const inverse = axis.log ? Math.exp : (value) => value;
    return { y, ticks: [0, 0.5, 1].map((part) => inverse(low + (high - low) * part)).map((value) => [y(value), format.number(Number(value.toPrecision(3)))]) };
  }

  function drawAxis(axis, picture, select) {
    const short = axis.name.length > 22 ? `…${axis.name.slice(-21)}` : axis.name;
    const mark = svg("rect", { class: "brush", x: axis.x - 7, width: 14, y: 0, height: 0 });
    const grip = svg("rect", { class: "grip", x: axis.x - 14, y: TOP - 8, width: 28, height: HEIGHT - TOP - BOTTOM + 16 });
    let start = null;
    const at = (event) => (event.clientY - picture.getBoundingClientRect().top) * HEIGHT / picture.getBoundingClientRect().height;
    const paint = () => {
      mark.setAttribute("y", axis.brush ? axis.brush[0] : 0);
      mark.setAttribute("height", axis.brush ? axis.brush[1] - axis.brush[0] : 0);
      select();
    };
    grip.addEventListener("pointerdown", (event) => {
      start = at(event);
      grip.setPointerCapture(event.pointerId);
    });
    grip.addEventListener("pointermove", (event) => {
      if (start === null) return;
      axis.brush = [Math.min(start, at(event)), Math.max(start, at(event))];
      paint();
    });
    grip.addEventListener("pointerup", () => {
      if (axis.brush && axis.brush[1] - axis.brush[0] < 3) axis.brush = null;
      start = null;
      paint();
    });
    return svg("g", { class: "axis" },
      svg("line", { x1: axis.x, x2: axis.x, y1: TOP, y2: HEIGHT - BOTTOM }),
      svg("text", { x: axis.x, y: 16, class: "title" }, short, svg("title", {}, axis.name)),
      axis.ticks.map(([y, label]) => svg("text", { x: axis.x + 6, y: y + 4 }, label)), mark, grip);
  }

  return { draw };
})();
