"use strict";
// The Playground view: a prompt, one model or two side by side, and the answer as it comes.

views.add({
  id: "playground",
  title: "Playground",
  async render(root) {
    if (!api.live) {
      fill(root, empty("A report contains no model. To try one on prompts, open the runs with:", "fxformer dashboard"));
      return null;
    }
    const { runs } = await api.get("models");
    if (!runs.length) {
      fill(root, empty("No run has a checkpoint, and no --model was given. To keep the last checkpoint:", "fxformer train trainer.save_every=100"));
      return null;
    }
    const state = views.state;
    const pickers = [1, 2].map((number) => playgroundModels.picker(runs, number, state, load));
    const options = playgroundOptions.panel(state);
    const prompt = area("prompt", state.text, 3), second = area("second input", state.second, 2);
    const kept = new Map(); // {name of the second input: its text}
    const tasks = h("span.task-choice"), hint = h("p.soft.small");
    const status = h("span.status-line", { role: "status" });
    const run = h("button.run-button", { onclick: start }, "Run");
    const stop = h("button", { onclick: () => running && running.abort(), disabled: true }, "Stop");
    const answers = h("div.answers", { "aria-live": "polite" });
    let task = state.task || "", running = null, loading = 0;

    fill(root, h("div.inputs.playground-inputs",
      h("div.pickers", pickers.map((one) => one.element)),
      h("div.toolbar", tasks), hint, prompt.element, second.element, options.element,
      h("div.toolbar", run, stop, status)), answers);
    await load();
    return {
      refresh: async () => {
        const now = (await api.get("models")).runs;
        for (const one of pickers) one.refresh(now);
      },
      leave: () => running && running.abort(),
    };

    function area(label, value, rows) {
      const input = h("textarea", { rows, maxlength: 20000, value: value || "", onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
      } });
      const name = h("span", label);
      return { input, name, element: h("label.area", name, input) };
    }

    function say(words, kind = "") {
      status.className = `status-line ${kind}`;
      status.textContent = words;
    }

    // Reads the tasks of the chosen models.
    async function load() {
      const mine = ++loading;
      say("loading the model …", "busy");
      for (const one of pickers) await one.load();
      if (mine !== loading || !root.isConnected) return;
      showTasks();
      const failed = pickers.map((one) => one.error || (one.facts && one.facts.why)).filter(Boolean);
      if (failed.length) say(failed[0], "error");
      else if (!running) say("");
    }

    // The tasks of the models, first those that both can do.
    function showTasks() {
      const known = pickers.filter((one) => one.facts).map((one) => one.facts.tasks);
      const all = new Map(known.flat().map((one) => [one.task, one.label]));
      const shared = (name) => known.every((some) => some.some((one) => one.task === name));
      const names = [...all].sort(([one], [other]) => shared(other) - shared(one));
      if (!all.has(task)) task = names.length ? names[0][0] : "";
      if (known.length > 1 && all.has("generate")) all.set("generate", "generate a text");
      fill(tasks, choice("task", names.map(([name]) => [name, all.get(name)]), task, (value) => {
        task = value;
        showInputs();
      }));
      run.disabled = !task || Boolean(running);
      showInputs();
    }

    // The chosen task as each model that can do it describes it.
    function described() {
      return pickers.filter((one) => one.facts).flatMap((one) => one.facts.tasks).filter((one) => one.task === task);
    }

    function showInputs() {
      const facts = pickers.map((one) => one.facts).filter(Boolean), forms = described();
      const label = (forms.find((one) => one.second) || { second: "" }).second;
      options.element.hidden = !forms.some((one) => one.generates);
      prompt.name.textContent = forms.length ? forms[0].first : "prompt";
      second.element.hidden = !label;
      if (label && label !== second.name.textContent) {
        kept.set(second.name.textContent, second.input.value);
        second.input.value = kept.get(label) || (kept.size === 1 && state.second) || "";
        second.name.textContent = label;
      }
      const reads = facts.map((one) => one.max_tokens).filter(Boolean);
      const masks = [...new Set(facts.map((one) => one.mask).filter(Boolean))];
      fill(hint, [
        task === "fill-mask" && masks.length ? `Write ${masks.join(" or ")} where a token is missing. ` : "",
        reads.length ? `${facts.length > 1 ? "Both models read" : "The model reads"} at most ${Math.min(...reads)} tokens. ` : "",
        "Ctrl+Enter runs.",
      ]);
    }

    async function start() {
      if (running || !task) return;
      const chosen = pickers.map((one) => one.model()).filter(Boolean);
      let given;
      try {
        given = { task, text: prompt.input.value, options: options.element.hidden ? {} : options.values() };
        if (!given.text.trim()) throw new Error("Enter a text first.");
      } catch (error) {
        say(error.message, "error");
        return;
      }
      if (!second.element.hidden) given.second = second.input.value;
      keep();
      running = new AbortController();
      run.disabled = true;
      stop.disabled = false;
      const cards = chosen.map(playgroundAnswer.card);
      fill(answers, cards.map((one) => one.element));
      const failed = [];
      say("computing …", "busy");
      for (const [at, model] of chosen.entries()) { // one after the other: neither slows the other
        const card = cards[at];
        try {
          running.signal.throwIfAborted();
          card.start();
          await api.stream("answer", { run: model.run, step: model.step, ...given }, card.receive, running.signal);
        } catch (error) {
          if (running.signal.aborted) card.stopped();
          else {
            card.fail();
            failed.push([model.id, error.message]);
          }
        }
      }
      if (failed.length) say(sentence(failed, chosen.length), "error");
      else say(running.signal.aborted ? "stopped" : "done");
      running = null;
      run.disabled = !task;
      stop.disabled = true;
    }

    // What went wrong, with the model where only one of two failed, or each in its own way.
    function sentence(failed, count) {
      const messages = [...new Set(failed.map(([, message]) => message))];
      if (messages.length === 1 && failed.length === count) return messages[0];
      return failed.map(([id, message]) => (message.includes(id) ? message : `${id}: ${message}`)).join("; ");
    }

    function keep() {
      const text = prompt.input.value;
      views.keep({ ...pickers[0].current(), ...pickers[1].current(), task, ...options.current(),
        text: text.length > 1500 ? null : text, second: second.element.hidden ? null : second.input.value });
    }
  },
});
