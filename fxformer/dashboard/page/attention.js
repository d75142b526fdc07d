"use strict";
// The Attention view: attention weights of every head for a text at a checkpoint.

views.add({
  id: "attention",
  title: "Attention",
  async render(root) {
    const FEW = 4, SHORT = 24; // heads shown together at first; tokens of a short text
    const state = views.state;
    const selected = {
      kind: state.kind || null, mode: state.mode || "heads", layer: Number(state.layer) || 0,
      heads: state.heads ? state.heads.split(".").map(Number) : null,
    };
    const above = h("div.inputs"), switches = h("div.toolbar.switches"), body = h("div.attention");
    fill(root, above, switches, body);
    let kinds = null, drawn = null, request = null;
    const MODES = [["heads", "Heads"], ["model", "All heads"], ["neurons", "Queries and keys"], ["rollout", "Rollout"],
      ["flow", "Flow"], ["lens", "Logit lens"]];
    const OWN = { neurons: "queries_keys", rollout: "reading", flow: "flow", lens: "reading" }; // mode -> request
    const INFLUENCE = { // of input tokens on positions
      rollout: "Attention rollout: the share of each input token in a position after a layer, by the mean of the heads and the residual connections (Abnar and Zuidema 2020).",
      flow: "Attention flow: the maximum flow from a position of the last layer to each input token, as a share of the position's flows (Abnar and Zuidema 2020).",
    };

    // Limits the selection to the layers and heads of this model.
    function settle(shown) {
      selected.layer = Math.min(selected.layer, shown.layers - 1);
      const heads = (selected.heads || []).filter((head) => head < shown.heads);
      // lines of many heads or tokens would overlap
      const few = shown.heads > FEW || shown.keys.length > SHORT ? 1 : shown.heads;
      selected.heads = heads.length ? heads : Array.from({ length: few }, (_, head) => head);
    }

    function show() {
      if (drawn) drawn.leave();
      drawn = null;
      if (!kinds) {
        fill(switches);
        fill(body);
        return;
      }
      if (OWN[selected.mode]) return showOwn(OWN[selected.mode]);
      const shown = kinds.find((one) => one.kind === selected.kind) || kinds[0];
      selected.kind = shown.kind;
      settle(shown);
      views.keep({ kind: selected.kind, mode: selected.mode, layer: selected.layer,
        heads: selected.heads.join(".") });
      refill(kindSwitch(kinds), modeSwitch(), selected.mode === "heads" && [layerChoice(shown), headSwitch(shown)]);
      if (selected.mode === "model") attentionGrid.draw(body, shown, selected, open);
      else drawHeads(shown);
    }

    // A view with an answer of its own, fetched when it is first shown.
    async function showOwn(path) {
      const [mode, asked] = [selected.mode, request];
      views.keep({ mode });
      if (!switches.childElementCount) refill(modeSwitch());
      fill(body, h("p.soft", "computing …"));
      let answer;
      try {
        answer = await inspectInput.get(path, request);
      } catch (error) {
        answer = { why: error.message };
      }
      if (mode !== selected.mode || asked !== request || !root.isConnected) return;
      drawOwn(mode, answer);
    }

    function drawOwn(mode, answer) {
      if (drawn) drawn.leave();
      drawn = null;
      if (answer.why) {
        refill(modeSwitch());
        fill(body, h("p.soft", answer.why));
      } else if (mode === "lens") {
        refill(modeSwitch());
        attentionLens.draw(body, answer.lens);
      } else {
        const own = (mode === "rollout" ? answer.rollout : answer.kinds).map(weights.read);
        const shown = own.find((one) => one.kind === selected.kind) || own[own.length - 1];
        selected.kind = shown.kind;
        const again = () => drawOwn(mode, answer);
        if (mode === "neurons") {
          settle(shown);
          refill(kindSwitch(own, again), modeSwitch(), layerChoice(shown, again), headChoice(shown, again));
          attentionNeurons.draw(body, shown, selected);
        } else drawInfluence(mode, own, shown, again);
      }
    }

    function drawInfluence(mode, own, shown, again) {
      const last = shown.layers - 1;
      if (selected.ofKind !== mode + shown.kind) Object.assign(selected, { ofKind: mode + shown.kind, after: last });
      const after = Math.min(selected.after, last);
      refill(kindSwitch(own, again), modeSwitch(), last > 0 && choice("after layer",
        Array.from({ length: shown.layers }, (_, layer) => [String(layer), String(layer + 1)]), String(after),
        (value) => { selected.after = Number(value); again(); }));
      const left = h("div.heads"), note = shown.source
        ? ` The keys are the ${shown.source} tokens of the source, then those of the target.` : "";
      fill(body, h("div.influence", h("p.soft", INFLUENCE[mode] + note), left));
      drawn = attentionHeads.draw(left, shown, { layer: after, heads: [0], verbs: ["draws on", "flows into"] });
    }

    // Redraws the switches; the pressed one keeps the focus.
    function refill(...children) {
      const own = () => [...switches.querySelectorAll("button, select")];
      const at = own().indexOf(document.activeElement);
      const name = (one) => one.getAttribute("aria-label") || one.textContent;
      const before = at < 0 ? null : name(document.activeElement);
      fill(switches, children);
      const after = before && own().find((one) => name(one) === before);
      if (after) after.focus();
    }

    function open(layer, head) {
      Object.assign(selected, { mode: "heads", layer, heads: [head] });
      show();
      const first = body.querySelector(".token");
      if (first) first.focus({ preventScroll: true });
    }

    function drawHeads(shown) {
      const left = h("div.heads"), entropy = h("div.heat"), distance = h("div.heat"), gradient = h("div");
      fill(body, left, h("aside.measures",
        h("h2", "entropy per head, nats"), h("p.soft.small", `0: each token attends to one token; ${Math.log(shown.keys.length).toFixed(1)}: uniform`), entropy,
        h("h2", "mean distance, tokens"), h("p.soft.small", "weighted distance from the query to its keys"), distance, gradient));
      drawn = attentionHeads.draw(left, shown, selected);
      heat(entropy, shown, "entropy", "nats", Math.log(shown.keys.length));
      heat(distance, shown, "distance", "tokens", Math.max(...shown.distance.flat()));
      drawGradient(gradient, shown);
    }

    // Importance of the heads for the loss of this text, where it has one.
    async function drawGradient(element, shown) {
      const { gradients } = await inspectInput.get("reading", request).catch(() => ({}));
      const rows = gradients && gradients[shown.kind];
      if (!rows || rows.length !== shown.layers || !element.isConnected) return;
      const plot = h("div.heat");
      fill(element, h("h2", "importance for this text, nats"), h("p.soft.small", "|∂ loss / ∂ factor of the head's output|"), plot);
      heat(plot, { ...shown, gradient: rows }, "gradient", "nats", Math.max(...rows.flat()) || 1);
    }

    async function heat(element, shown, name, unit, most) {
      element.style.height = `${Math.max(120, 46 + shown.layers * (shown.layers > 8 ? 15 : 24))}px`;
      const numbers = (count) => Array.from({ length: count }, (_, i) => i + 1);
      await chart.draw(element, () => ({
        data: [{
          type: "heatmap", z: shown[name], x: numbers(shown.heads), y: numbers(shown.layers),
          zmin: 0, zmax: most, colorscale: [[0, chart.ink("card")], [1, chart.ink("accent")]], xgap: 2, ygap: 2,
          hovertemplate: `layer %{y}, head %{x}<br>%{z:.3g} ${unit}<extra></extra>`,
          colorbar: { thickness: 8, len: 1, tickfont: { color: chart.ink("soft"), size: 11 }, outlinewidth: 0 },
        }],
        layout: {
          margin: { l: 34, r: 8, t: 4, b: 32 },
          xaxis: { title: "head", dtick: shown.heads > 12 ? 2 : 1, showgrid: false, zeroline: false },
          yaxis: { title: "layer", dtick: shown.layers > 12 ? 2 : 1, autorange: "reversed", showgrid: false, zeroline: false },
        },
        config: { displayModeBar: false },
      }));
      if (element.on) element.on("plotly_click", (event) => open(event.points[0].y - 1, event.points[0].x - 1));
    }

    // A segmented control.
    function segmented(label, options, value, change, redraw = show) {
      return h("div.segments", { role: "group", "aria-label": label }, options.map(([key, text]) => h("button", {
        "aria-pressed": String(key === value), onclick: () => { change(key); redraw(); },
      }, text)));
    }

    function kindSwitch(known, redraw = show) {
      if (known.length < 2) return null;
      return segmented("kind of attention", known.map((one) => [one.kind, weights.NAMES[one.kind]]), selected.kind,
        (key) => { selected.kind = key; }, redraw);
    }

    function modeSwitch() {
      return segmented("view", MODES, selected.mode, (key) => { selected.mode = key; });
    }

    function headChoice(shown, redraw) {
      const names = Array.from({ length: shown.heads }, (_, head) => [String(head), String(head + 1)]);
      return choice("head", names, String(selected.heads[0]), (value) => { selected.heads = [Number(value)]; redraw(); });
    }

    function layerChoice(shown, redraw = show) {
      const names = Array.from({ length: shown.layers }, (_, layer) => [String(layer), String(layer + 1)]);
      return choice("layer", names, String(selected.layer), (value) => { selected.layer = Number(value); redraw(); });
    }

    function headSwitch(shown) {
      const all = Array.from({ length: shown.heads }, (_, head) => head);
      return h("div.head-switch", { role: "group", "aria-label": "heads" }, h("span.soft", "heads"), all.map((head) => h("button.head", {
        "aria-pressed": String(selected.heads.includes(head)), "aria-label": `head ${head + 1}`,
        title: "click: this head only; shift-click: add or remove",
        style: { borderBottomColor: chart.style(head).colour },
        onclick: (event) => { pick(head, event.shiftKey || event.ctrlKey); show(); },
      }, String(head + 1))), h("button.quiet", { onclick: () => { selected.heads = all; show(); } }, "all"));
    }

    function pick(head, more) {
      if (!more) selected.heads = [head];
      else if (!selected.heads.includes(head)) selected.heads = [...selected.heads, head].sort((a, b) => a - b);
      else if (selected.heads.length > 1) selected.heads = selected.heads.filter((one) => one !== head);
    }

    const panel = await inspectInput.panel(above, "attention", { target: true, corrupt: true }, (answer, asked) => {
      request = asked;
      kinds = answer && answer.kinds.map(weights.read);
      show();
    });
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", show);
    return {
      refresh: () => panel && panel.refresh(),
      leave() {
        if (drawn) drawn.leave();
        scheme.removeEventListener("change", show);
      },
    };
  },
});
