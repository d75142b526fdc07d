"use strict";
// Grid of all heads: the attention weights of each head as a small image; a click opens the head.

const attentionGrid = (() => {
  // draw(root, shown, selected, open): calls open(layer, head) when a head is clicked
  function draw(root, shown, selected, open) {
    const cells = [];
    const size = Math.max(44, Math.min(190, Math.floor((root.clientWidth - 70) / shown.heads) - 17)); // px, without borders and gaps
    const corner = h("span.corner", "layer");
    const top = Array.from({ length: shown.heads }, (_, head) => h("span.name", head === 0 ? `head ${head + 1}` : String(head + 1)));
    const rows = [];
    for (let layer = 0; layer < shown.layers; layer++) {
      rows.push(h("span.name", String(layer + 1)));
      for (let head = 0; head < shown.heads; head++) {
        const here = selected.layer === layer && selected.heads.includes(head);
        const cell = h("button.thumb", {
          "aria-label": description(shown, layer, head), title: description(shown, layer, head),
          "aria-pressed": String(here), tabindex: layer === 0 && head === 0 ? 0 : -1,
          onclick: () => open(layer, head),
          onkeydown: (event) => walk(event, cells, cells.indexOf(cell), shown.heads),
        }, picture(shown, layer, head, size));
        cells.push(cell);
        rows.push(cell);
      }
    }
    fill(root, h("div.grid", { style: { gridTemplateColumns: `48px repeat(${shown.heads}, max-content)` } }, corner, top, rows),
      h("p.soft", "Rows are queries, columns are keys; darker means more weight. Click a head or press Enter to open it."));
  }

  function description(shown, layer, head) {
    const entropy = shown.entropy[layer][head], distance = shown.distance[layer][head];
    return `layer ${layer + 1}, head ${head + 1}: entropy ${entropy.toFixed(2)} nats, ${distance.toFixed(1)} tokens mean distance`;
  }

  // The weights as an image, one pixel each, scaled without smoothing.
  function picture(shown, layer, head, size) {
    const [T, S] = [shown.queries.length, shown.keys.length];
    const canvas = h("canvas", { width: S, height: T, "aria-hidden": "true" });
    const [wide, high] = S >= T ? [size, Math.max(12, size * T / S)] : [Math.max(12, size * S / T), size];
    Object.assign(canvas.style, { width: `${wide}px`, height: `${high}px` });
    const pen = canvas.getContext("2d"), image = pen.createImageData(S, T), all = shown.of(layer, head);
    const [from, to] = [rgb("card"), rgb("accent")];
    for (let i = 0; i < all.length; i++) {
      const share = Math.sqrt(all[i] / weights.MAX_WEIGHT); // square root: small weights stay visible
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = from[c] + (to[c] - from[c]) * share;
      image.data[4 * i + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  }

  function rgb(name) {
    const hex = chart.ink(name).replace("#", "");
    return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }

  function walk(event, cells, at, wide) {
    const way = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[event.key];
    const next = way && cells[at + way];
    if (!next) return;
    for (const cell of cells) cell.tabIndex = cell === next ? 0 : -1;
    next.focus();
    event.preventDefault();
  }

  return { draw };
})();
