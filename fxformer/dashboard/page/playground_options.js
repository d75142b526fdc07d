"use strict";
// Decoding options of the Playground view, as fields of GenerationConfig.

const playgroundOptions = (() => {
  // name, label, attributes of the input, the methods that it belongs to (none: all)
  const FIELDS = [
    ["max_new_tokens", "max new tokens", { min: 1, max: 512, step: 1, placeholder: "64" }],
    ["temperature", "temperature", { min: 0.05, step: 0.05, placeholder: "1" }, ["sampling"]],
    ["top_k", "top-k", { min: 0, step: 1 }, ["sampling", "contrastive"]],
    ["penalty_alpha", "penalty α", { min: 0, max: 1, step: 0.05, placeholder: "0.6" }, ["contrastive"]],
    ["top_p", "top-p", { min: 0, max: 1, step: 0.05, placeholder: "1" }, ["sampling"]],
    ["seed", "seed", { min: 0, step: 1, placeholder: "0" }, ["sampling"]],
    ["num_beams", "beams", { min: 2, max: 8, step: 1, placeholder: "4" }, ["beams"]],
    ["length_penalty", "length penalty", { step: 0.1, placeholder: "1" }, ["beams"]],
    ["repetition_penalty", "repetition penalty", { min: 0.05, step: 0.05, placeholder: "1" }],
  ];
  const METHODS = [["greedy", "greedy"], ["sampling", "sampling"], ["beams", "beam search"],
    ["contrastive", "contrastive search"]];

  // panel(state): {element, values(), current()}. values: options to send; current: for the address.
  function panel(state) {
    let method = METHODS.some(([name]) => name === state.method) ? state.method : "greedy";
    const fields = FIELDS.map(([name, label, attributes, of]) => {
      const input = h("input", { type: "number", name, value: state[name] || "", ...attributes });
      if (attributes.step !== 1) input.step = "any";
      return { name, of, input, element: h("label.choice", h("span", label), input) };
    });
    const note = h("p.soft.small");

    function show() {
      for (const field of fields) field.element.hidden = Boolean(field.of) && !field.of.includes(method);
      fields.find((field) => field.name === "top_k").input.placeholder = method === "sampling" ? "all" : "4";
      note.textContent = method === "beams" ? "Beam search shows its text when it has ended." : "";
    }

    function values() {
      const found = {};
      for (const { name, element, input } of fields) {
        if (element.hidden) continue;
        if (input.validity.badInput) throw new Error(`${name} is not a number`);
        if (input.value !== "") found[name] = Number(input.value);
      }
      found.num_beams = method === "beams" ? found.num_beams || 4 : 1;
      found.penalty_alpha = method === "contrastive" ? found.penalty_alpha || 0.6 : 0;
      if (method === "contrastive") found.top_k = found.top_k || 4;
      found.do_sample = method === "sampling";
      return found;
    }

    function current() {
      const used = fields.map(({ name, element, input }) => [name, element.hidden ? null : input.value]);
      return { method: method === "greedy" ? null : method, ...Object.fromEntries(used) };
    }

    const chosen = choice("strategy", METHODS, method, (value) => { method = value; show(); });
    const element = h("fieldset.toolbar.decoding", h("legend", "Decoding"), chosen, fields.map((one) => one.element), note);
    show();
    return { element, values, current };
  }

  return { panel };
})();
