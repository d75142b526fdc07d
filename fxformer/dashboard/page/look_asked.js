"use strict";
// What is looked at: a run, a text and a checkpoint, chosen above the views of attention and samples.

const look = (() => {
  const held = new Map(); // question -> promise of its answer
  const MOST_HELD = 60;

  // An answer, asked for once.
  function get(path, params) {
    const key = JSON.stringify([path, params]);
    if (!held.has(key)) {
      if (held.size >= MOST_HELD) held.delete(held.keys().next().value);
      held.set(key, api.get(path, params).catch((error) => { held.delete(key); throw error; }));
    }
    return held.get(key);
  }

  // panel(root, path, extras, draw): the choices in `root`; draw(answer, asked) is called with each new
  // answer of `path`. extras: {target, spoil}, whether the view has a use for them. What it gives back
  // has a refresh(), for when runs have changed; null where there is nothing to look at.
  async function panel(root, path, extras, draw) {
    const [{ runs }, looks] = await Promise.all([api.get("checkpoints"), api.get("looks")]);
    if (!api.live && !looks.length) {
      fill(root, empty("This report shows no text. To have it show one:", "fxformer report --attention RUN 'a text'"));
      return null;
    }
    if (!runs.length) {
      fill(root, empty("No run here has kept a checkpoint. More of them make a slider:",
        "fxformer train trainer.save_every=100 trainer.keep_checkpoints=9"));
      return null;
    }
    const asked = api.live ? typed(runs, extras) : embedded(runs, looks);
    const status = h("span.status-line.busy", { role: "status" }, "opening …");
    const slider = checkpoints(() => ask());
    let turn = 0;

    async function ask() {
      const mine = ++turn;
      const { run, steps, params } = asked.now();
      const step = slider.set(steps);
      if (!params) {
        status.className = "status-line";
        status.textContent = "Write a text and press Look.";
        return;
      }
      const question = { run: run.key, step, ...params };
      const { text = null, target = null, example = null, spoil = null } = params;
      views.keep({ run: run.key, step, text, target, example, spoil });
      status.textContent = `reading step ${step} …`;
      status.className = "status-line busy";
      try {
        const answer = await get(path, question);
        if (mine !== turn || !root.isConnected) return;
        status.className = "status-line";
        status.textContent = answer.note || "";
        draw(answer, question);
      } catch (error) {
        if (mine !== turn) return;
        status.className = "status-line error";
        status.textContent = error.message;
        draw(null, question);
      }
    }

    fill(root, asked.element, h("div.toolbar.checkpoint", slider.element, status));
    asked.changed = ask;
    first();
    return { refresh };

    // A run that goes on makes checkpoints, and drops old ones.
    async function refresh() {
      const now = (await api.get("checkpoints")).runs;
      for (const run of runs) run.steps = (now.find((one) => one.key === run.key) || run).steps;
      slider.set(asked.now().steps);
    }

    // Opening and compiling a model takes its time, in which the choices are there already.
    async function first() {
      await asked.ready();
      if (turn === 0 && root.isConnected) await ask();
    }
  }

  // The slider over checkpoints; it stays at its step where the next text has that step too.
  function checkpoints(changed) {
    let steps = [], wanted = Number(views.state.step) || null, timer = null;
    const range = h("input", { type: "range", min: 0, step: 1, "aria-label": "checkpoint", oninput: () => {
      wanted = steps[range.value];
      say();
      clearTimeout(timer);
      timer = setTimeout(changed, 120);
    } });
    const words = h("output.step");
    const element = h("label.choice", h("span", "checkpoint"), range, words);

    function say() {
      const at = Number(range.value);
      words.textContent = `step ${steps[at]}, ${at + 1} of ${steps.length}`;
      range.setAttribute("aria-valuetext", words.textContent);
    }

    function set(given) {
      steps = given;
      range.max = steps.length - 1;
      range.disabled = steps.length < 2;
      const at = steps.indexOf(wanted);
      range.value = at < 0 ? steps.length - 1 : at;
      wanted = steps[range.value];
      say();
      return wanted;
    }
    return { element, set };
  }

  // Texts that a report holds.
  function embedded(runs, looks) {
    const names = looks.map((one, n) => [String(n), `${one.run.split("/").pop()}: ${title(one.asked)}`]);
    let at = 0;
    const self = { changed: null };
    self.element = h("div.toolbar", choice("text", names, "0", (value) => { at = Number(value); self.changed(); }));
    self.ready = () => null;
    self.now = () => {
      const one = looks[at];
      return { run: runs.find((run) => run.key === one.run), steps: one.steps, params: one.asked };
    };
    return self;
  }

  function title(asked) {
    if (asked.example) return `held-out text ${asked.example}`;
    return asked.text.length > 70 ? asked.text.slice(0, 70) + "…" : asked.text;
  }

  // A text that is typed, or one of those a run has held out.
  function typed(runs, extras) {
    const start = views.state;
    let run = runs.find((one) => one.key === start.run) || runs[0];
    let example = start.text ? null : start.example || "0";
    const self = { changed: null };
    const text = area("text", start.text, "Type a text. <mask> is the mask.");
    const target = area("target", start.target, "What the decoder reads; empty: what the model writes.");
    const spoil = h("input", { type: "checkbox", checked: Boolean(start.spoil) });
    const spoiling = h("label.tick", spoil, h("span", "spoil it as the objective does"));
    const shelf = h("span");
    const why = h("p.soft.why-none");

    function area(label, value, hint) {
      return h("textarea", { rows: 2, "aria-label": label, placeholder: hint, value: value || "", oninput: () => own(),
        onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) self.changed(); } });
    }

    function own() {
      example = null;
      const list = shelf.querySelector("select");
      if (list) list.value = "";
    }

    async function heldOut() {
      fill(shelf, h("span.soft", "reading held-out texts …"));
      const of = run;
      const { texts, why: none } = await get("texts", { run: run.key }).catch((error) => ({ texts: [], why: error.message }));
      if (of !== run) return;
      why.textContent = none ? `There are no held-out texts to choose from; a typed one will do. (${none})` : "";
      if (!texts.length) example = null;
      const names = [["", "typed"], ...texts.map((one) => [String(one.number), `${one.number} · ${one.text.slice(0, 50)}`])];
      const pick = (value) => {
        example = value || null;
        const chosen = texts.find((one) => String(one.number) === value);
        if (chosen) text.value = chosen.text;
        self.changed();
      };
      const known = texts.find((one) => String(one.number) === example);
      if (known) text.value = known.text;
      else example = null;
      fill(shelf, texts.length ? choice("held-out", names, example || "", pick) : null);
    }

    function suit() {
      target.hidden = !extras.target || run.architecture !== "seq2seq";
      spoiling.hidden = !extras.spoil;
    }

    self.element = h("div.asked",
      h("div.toolbar", choice("run", runs.map((one) => [one.key, one.id]), run.key, async (key) => {
        run = runs.find((one) => one.key === key);
        example = "0";
        suit();
        await heldOut();
        self.changed();
      }), shelf, spoiling),
      h("div.texts", text, target, h("button.go", { onclick: () => self.changed() }, "Look")),
      why);
    self.ready = () => { suit(); return heldOut(); };
    self.now = () => ({ run, steps: run.steps, params: question() });

    function question() {
      if (example !== null) return { example };
      if (!text.value.trim()) return null;
      const given = { text: text.value };
      if (!target.hidden && target.value.trim()) given.target = target.value;
      if (!spoiling.hidden && spoil.checked) given.spoil = "1";
      return given;
    }
    spoil.addEventListener("change", () => { if (text.value.trim()) { own(); self.changed(); } });
    return self;
  }

  return { get, panel };
})();
