"use strict";
// Attention of selected heads: queries on the left, keys on the right, lines as strong as the weights.

const attentionHeads = (() => {
  const ROW = 22, TOP = 8, MOST = 6000; // px, px, lines
  const EACH = 3; // lines per token of a long text while no token has the focus

  // draw(root, shown, {layer, heads}): shown: see weights.read
  function draw(root, shown, selected) {
    const { queries, keys } = shown;
    const canvas = h("canvas.lines", { "aria-hidden": "true" });
    const details = h("div.details", { "aria-live": "polite" });
    const sides = {
      query: column("query", queries, "queries"),
      key: column("key", keys, "keys"),
    };
    let focus = null; // {side, index}
    let pinned = false;

    function column(side, tokens, label) {
      const list = h(`ul.tokens.${side}`, { "aria-label": label });
      tokens.forEach((token, index) => {
        const swatches = h("span.swatches", { "aria-hidden": "true" }, selected.heads.map((head) => h("i", { "data-head": head })));
        const item = h("li.token", { tabindex: index === 0 ? 0 : -1, "data-index": index,
          onmouseenter: () => !pinned && show({ side, index }),
          onfocus: () => show({ side, index }),
          onclick: () => { pinned = !pinned; show({ side, index }); },
          onkeydown: (event) => walk(event, side, index),
        }, side === "query" ? [swatches, h("span.word", token)] : [h("span.word", token), swatches]);
        list.append(item);
      });
      list.addEventListener("mouseleave", () => { if (!pinned) show(null); });
      return list;
    }

    function walk(event, side, index) {
      const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const over = { ArrowRight: "key", ArrowLeft: "query" }[event.key];
      if (event.key === "Escape") { pinned = false; show(null); }
      if (!way && !over) return;
      const list = sides[over || side];
      const next = list.children[Math.max(0, Math.min(list.children.length - 1, over ? index : index + way))];
      for (const item of list.children) item.tabIndex = item === next ? 0 : -1;
      next.focus();
      event.preventDefault();
    }

    // Weight of a head between the focused token and a token of the other side.
    function between(head, index) {
      return focus.side === "query" ? shown.at(selected.layer, head, focus.index, index)
        : shown.at(selected.layer, head, index, focus.index);
    }

    function show(target) {
      focus = target;
      for (const side of ["query", "key"]) {
        const far = focus && focus.side !== side;
        for (const item of sides[side].children) {
          const index = Number(item.dataset.index);
          item.classList.toggle("here", Boolean(focus) && focus.side === side && focus.index === index);
          const each = far ? selected.heads.map((head) => between(head, index)) : [];
          const mean = far ? each.reduce((a, b) => a + b, 0) / each.length : 0;
          item.style.setProperty("--weight", far ? Math.sqrt(mean).toFixed(3) : "0");
          item.querySelectorAll(".swatches i").forEach((mark, n) => {
            mark.style.background = chart.style(selected.heads[n]).colour;
            mark.style.opacity = far ? Math.sqrt(each[n]) : 0;
          });
        }
      }
      describe();
      paint();
    }

    function describe() {
      if (!focus) {
        const weight = selected.heads.length > 1 ? "mean weight over the heads" : "weight";
        fill(details, h("p.soft", `Hover over a token, or move with the arrow keys, to list the tokens with the largest ${weight}. Click to keep the list.`),
          h("p.soft", `Lines are drawn for weights above uniform attention, 1/${keys.length}; of a long text only the strongest, ${EACH} per token.`));
        return;
      }
      const own = focus.side === "query" ? queries : keys, other = focus.side === "query" ? keys : queries;
      const best = weights.strongest(shown, selected.layer, selected.heads, focus.side, focus.index, 8);
      const [draws, gives] = selected.verbs || ["attends to", "is attended to by"];
      const verb = focus.side === "query" ? draws : gives;
      fill(details, h("p", h("span.word", own[focus.index]), ` at ${focus.index} ${verb}`),
        h("ol.best", best.map(([index, weight]) => h("li",
          h("span.word", other[index]), h("span.soft", ` at ${index}`),
          h("span.meter", h("i", { style: { width: `${100 * weight}%` } })), h("span.number", weight.toFixed(3))))));
    }

    // The lines to draw: those of the focused token, or the strongest of all.
    function lines() {
      const found = [];
      const [T, S] = [queries.length, keys.length];
      const faint = focus ? 0.005 : 1 / S; // uniform weights would draw every line
      for (const head of selected.heads) {
        const all = shown.of(selected.layer, head);
        for (let t = 0; t < T; t++) {
          if (focus && focus.side === "query" && focus.index !== t) continue;
          for (let s = 0; s < S; s++) {
            if (focus && focus.side === "key" && focus.index !== s) continue;
            const weight = all[t * S + s] / weights.MAX_WEIGHT;
            if (weight > faint) found.push([weight, head, t, s]);
          }
        }
      }
      found.sort((a, b) => a[0] - b[0]); // the strongest on top
      return found.slice(focus ? -MOST : -Math.min(MOST, Math.max(200, EACH * T)));
    }

    function paint() {
      const rows = Math.max(queries.length, keys.length);
      const width = canvas.clientWidth, height = rows * ROW + 2 * TOP, sharp = window.devicePixelRatio || 1;
      canvas.width = width * sharp;
      canvas.height = height * sharp;
      canvas.style.height = `${height}px`;
      const pen = canvas.getContext("2d");
      pen.scale(sharp, sharp);
      const y = (index) => TOP + ROW * (index + 0.5);
      for (const [weight, head, t, s] of lines()) {
        const { colour, dash } = chart.style(head);
        pen.strokeStyle = colour;
        pen.globalAlpha = Math.min(1, weight ** 0.8 * (focus ? 1.2 : 0.9));
        pen.lineWidth = focus ? 0.8 + 2.4 * weight : 0.6 + 1.6 * weight;
        pen.setLineDash({ dash: [6, 4], dot: [2, 3], dashdot: [6, 3, 2, 3], longdash: [10, 4] }[dash] || []);
        pen.beginPath();
        pen.moveTo(2, y(t));
        pen.bezierCurveTo(width * 0.35, y(t), width * 0.65, y(s), width - 2, y(s));
        pen.stroke();
      }
    }

    const stage = h("div.stage", sides.query, canvas, sides.key);
    fill(root, stage, details);
    show(null);
    const observer = new ResizeObserver(paint);
    observer.observe(canvas);
    return { leave: () => observer.disconnect(), paint };
  }

  return { draw };
})();
