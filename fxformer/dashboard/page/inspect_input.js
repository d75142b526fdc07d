"use strict";
// Input panel of the views Attention and Samples: run, text and checkpoint.

const inspectInput = (() => {
  const cache = new Map(); // request -> promise of its answer
  const MAX_CACHED = 60;

  // A cached answer.
  function get(path, params) {
    const key = JSON.stringify([path, params]);
    if (!cache.has(key)) {
      if (cache.size >= MAX_CACHED) cache.delete(cache.keys().next().value);
      cache.set(key, api.get(path, params).catch((error) => { cache.delete(key); throw error; }));
    }
    return cache.get(key);
  }

  // panel(root, path, extras, draw): draws the inputs in `root` and calls draw(answer, request) with
  // each answer of `path`. extras: {target, corrupt}, the optional inputs of the view. Returns an
  // object with refresh(), to be called when runs have changed, or null without any checkpoint.
  async function panel(root, path, extras, draw) {
    const [{ runs }, embedded] = await Promise.all([api.get("checkpoints"), api.get("embedded_texts")]);
    if (!api.live && !embedded.length) {
      fill(root, empty("This report contains no text. To embed one:", "fxformer report --attention RUN 'a text'"));
      return null;
    }
    if (!runs.length) {
      fill(root, empty("No run has a checkpoint. To keep several:",
        "fxformer train trainer.save_every=100 trainer.keep_checkpoints=9"));
      return null;
    }
    const inputs = api.live ? typedInputs(runs, extras) : embeddedInputs(runs, embedded);
    const status = h("span.status-line.busy", { role: "status" }, "loading the model …");
    const slider = checkpoints(() => send());
    let latest = 0; // number of the latest request

    async function send() {
      const mine = ++latest;
      const { run, steps, params } = inputs.current();
      const step = slider.set(steps);
      if (!params) {
        status.className = "status-line";
        status.textContent = "Enter a text and press Run.";
        return;
      }
      const request = { run: run.key, step, ...params };
      const { text = null, target = null, example = null, corrupt = null } = params;
      views.keep({ run: run.key, step, text, target, example, corrupt });
      status.textContent = `evaluating step ${step} …`;
      status.className = "status-line busy";
      try {
        const answer = await get(path, request);
        if (mine !== latest || !root.isConnected) return;
        status.className = "status-line";
        status.textContent = answer.note || "";
        draw(answer, request);
      } catch (error) {
        if (mine !== latest) return;
        status.className = "status-line error";
        status.textContent = error.message;
        draw(null, request);
      }
    }

    fill(root, inputs.element, h("div.toolbar.checkpoint", slider.element, status));
    inputs.changed = send;
    first();
    return { refresh };

    // A running run adds and deletes checkpoints.
    async function refresh() {
      const now = (await api.get("checkpoints")).runs;
      for (const run of runs) run.steps = (now.find((one) => one.key === run.key) || run).steps;
      slider.set(inputs.current().steps);
    }

    // The inputs are shown while the model is loaded and compiled.
    async function first() {
      await inputs.ready();
      if (latest === 0 && root.isConnected) await send();
    }
  }

  // Slider over checkpoints; keeps its step where the next text has the same step.
  function checkpoints(changed) {
    let steps = [], selected = Number(views.state.step) || null, timer = null;
    const range = h("input", { type: "range", min: 0, step: 1, "aria-label": "checkpoint", oninput: () => {
      selected = steps[range.value];
      label();
      clearTimeout(timer);
      timer = setTimeout(changed, 120);
    } });
    const output = h("output.step");
    const element = h("label.choice", h("span", "checkpoint"), range, output);

    function label() {
      const at = Number(range.value);
      output.textContent = `step ${steps[at]}, ${at + 1} of ${steps.length}`;
      range.setAttribute("aria-valuetext", output.textContent);
    }

    function set(given) {
      steps = given;
      range.max = steps.length - 1;
      range.disabled = steps.length < 2;
      const at = steps.indexOf(selected);
      range.value = at < 0 ? steps.length - 1 : at;
      selected = steps[range.value];
      label();
      return selected;
    }
    return { element, set };
  }

  // Inputs of a report: one of its embedded texts.
  function embeddedInputs(runs, texts) {
    const names = texts.map((one, n) => [String(n), `${one.run.split("/").pop()}: ${title(one.params)}`]);
    let at = 0;
    const self = { changed: null };
    self.element = h("div.toolbar", choice("text", names, "0", (value) => { at = Number(value); self.changed(); }));
    self.ready = () => null;
    self.current = () => {
      const one = texts[at];
      return { run: runs.find((run) => run.key === one.run), steps: one.steps, params: one.params };
    };
    return self;
  }

  function title({ example, text }) {
    if (example) return `held-out text ${example}`;
    return text.length > 70 ? text.slice(0, 70) + "…" : text;
  }

  // Inputs of a live page: a typed text, or a held-out text of the run.
  function typedInputs(runs, extras) {
    const start = views.state;
    let run = runs.find((one) => one.key === start.run) || runs[0];
    let example = start.text ? null : start.example || "0";
    const self = { changed: null };
    const text = area("text", start.text, "Enter a text. <mask> is the mask token.");
    const target = area("target", start.target, "Decoder input; empty: generated by the model.");
    const corrupt = h("input", { type: "checkbox", checked: Boolean(start.corrupt) });
    const corruptLabel = h("label.tick", corrupt, h("span", "corrupt as in training"));
    const examples = h("span");
    const note = h("p.soft.no-texts");

    function area(label, value, hint) {
      return h("textarea", { rows: 2, "aria-label": label, placeholder: hint, value: value || "", oninput: () => useTyped(),
        onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) self.changed(); } });
    }

    function useTyped() {
      example = null;
      const list = examples.querySelector("select");
      if (list) list.value = "";
    }

    async function heldOut() {
      fill(examples, h("span.soft", "reading held-out texts …"));
      const requested = run;
      const { texts, why } = await get("texts", { run: run.key }).catch((error) => ({ texts: [], why: error.message }));
      if (requested !== run) return;
      note.textContent = why ? `No held-out texts available; enter a text. (${why})` : "";
      if (!texts.length) example = null;
      const names = [["", "typed"], ...texts.map((one) => [String(one.number), `${one.number} · ${one.text.slice(0, 50)}`])];
      const pick = (value) => {
        example = value || null;
        const found = texts.find((one) => String(one.number) === value);
        if (found) text.value = found.text;
        self.changed();
      };
      const known = texts.find((one) => String(one.number) === example);
      if (known) text.value = known.text;
      else example = null;
      fill(examples, texts.length ? choice("held-out text", names, example || "", pick) : null);
    }

    function showExtras() {
      target.hidden = !extras.target || run.architecture !== "seq2seq";
      corruptLabel.hidden = !extras.corrupt;
    }

    self.element = h("div.text-input",
      h("div.toolbar", choice("run", runs.map((one) => [one.key, one.id]), run.key, async (key) => {
        run = runs.find((one) => one.key === key);
        example = "0";
        showExtras();
        await heldOut();
        self.changed();
      }), examples, corruptLabel),
      h("div.texts", text, target, h("button.run-button", { onclick: () => self.changed() }, "Run")),
      note);
    self.ready = () => { showExtras(); return heldOut(); };
    self.current = () => ({ run, steps: run.steps, params: params() });

    function params() {
      if (example !== null) return { example };
      if (!text.value.trim()) return null;
      const given = { text: text.value };
      if (!target.hidden && target.value.trim()) given.target = target.value;
      if (!corruptLabel.hidden && corrupt.checked) given.corrupt = "1";
      return given;
    }
    corrupt.addEventListener("change", () => { if (text.value.trim()) { useTyped(); self.changed(); } });
    return self;
  }

  return { get, panel };
})();
