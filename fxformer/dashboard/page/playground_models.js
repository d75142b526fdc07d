"use strict";
// Choice of a model and its checkpoint in the Playground view.

const playgroundModels = (() => {
  // picker(runs, number, state, changed): {element, model(), tasks(), refresh(runs)}.
  //   number: 1, or 2 for the optional model beside the first
  //   model(): {run, step, id}, or null where none is chosen; load(): reads its tasks into `facts`
  function picker(runs, number, state, changed) {
    const suffix = number === 1 ? "" : "2";
    let run = runs.find((one) => one.key === state[`run${suffix}`]) || (number === 1 ? runs[0] : null);
    let step = Number(state[`step${suffix}`]) || null;
    const checkpoint = h("span.checkpoint-choice");
    const self = { facts: null, error: "" };

    function steps() {
      if (!run || !run.steps.length) { // a folder has no checkpoints
        step = null;
        return fill(checkpoint);
      }
      if (!run.steps.includes(step)) step = run.steps[run.steps.length - 1];
      const names = run.steps.map((one) => [String(one), `step ${one}`]);
      return fill(checkpoint, choice("checkpoint", names, String(step), (value) => {
        step = Number(value);
        changed();
      }));
    }

    const names = runs.map((one) => [one.key, one.architecture ? `${one.id} (${one.architecture})` : one.id]);
    if (number === 2) names.unshift(["", "none"]);
    const label = number === 1 ? "model" : "second model";
    const list = choice(label, names, run ? run.key : "", (key) => {
      run = runs.find((one) => one.key === key) || null;
      steps();
      changed();
    });
    steps();
    self.element = h("div.toolbar", list, checkpoint);
    self.model = () => run && { run: run.key, step, id: run.id };
    self.current = () => ({ [`run${suffix}`]: run && run.key, [`step${suffix}`]: run && step });

    // Reads what the model can do. Loads its weights, which takes seconds the first time.
    self.load = async () => {
      const requested = self.model();
      self.facts = null;
      self.error = "";
      if (!requested) return;
      try {
        const facts = await inspectInput.get("tasks", { run: requested.run, step: requested.step === null ? "" : requested.step });
        if (same(requested)) self.facts = facts;
      } catch (error) {
        if (same(requested)) self.error = error.message;
      }
    };

    function same(requested) {
      const now = self.model();
      return now && now.run === requested.run && now.step === requested.step;
    }

    // A running run adds and deletes checkpoints.
    self.refresh = (given) => {
      for (const one of runs) one.steps = (given.find((other) => other.key === one.key) || one).steps;
      steps();
    };
    return self;
  }

  return { picker };
})();
