"use strict";
// Buttons to pin, archive and delete the selected runs, with undo.

const runManage = (() => {
  // selectedRuns() -> runs; changed(): called when the list of runs must be reloaded
  function buttons(selectedRuns, message, changed) {
    const keys = () => selectedRuns().map((run) => run.key);
    const button = (id, label, action) => h("button", { id, onclick: action, hidden: true }, label);
    return [
      button("pin", "pin", () => toggle("pinned", "pinned", "unpinned")),
      button("archive", "archive", () => toggle("archived", "archived", "unarchived")),
      button("delete", "delete", remove),
    ];

    async function toggle(name, done, undone) {
      const selected = keys(), on = !selectedRuns().every((run) => run[name]);
      await perform(() => api.post("mark", { keys: selected, [name]: on }), () => api.post("mark", { keys: selected, [name]: !on }),
        `${count(selected)} ${on ? done : undone}`);
    }

    async function remove() {
      const selected = keys();
      await perform(() => api.post("delete", { keys: selected }), () => api.post("restore", { keys: selected }),
        (answer) => `${count(selected)} moved to ${answer.folder}/`);
      for (const key of selected) selection.toggle(key, false);
    }

    async function perform(change, undo, text) {
      try {
        const answer = await change();
        fill(message, typeof text === "string" ? text : text(answer), " ", h("button.quiet", { onclick: async () => {
          try {
            await undo();
            fill(message, "undone");
          } catch (error) {
            fill(message, h("span.error", error.message));
          }
          await changed();
        } }, "undo"));
      } catch (error) {
        fill(message, h("span.error", error.message));
      }
      await changed();
    }
  }

  function count(keys) {
    return `${keys.length} ${keys.length === 1 ? "run" : "runs"}`;
  }

  // Updates the labels of the buttons for the selected runs.
  function mark(selected) {
    for (const [id, name, on, off] of [["pin", "pinned", "pin", "unpin"], ["archive", "archived", "archive", "unarchive"], ["delete", null, "delete", ""]]) {
      const button = document.getElementById(id);
      if (!button) continue;
      button.hidden = !selected.length || !api.live;
      button.textContent = selected.length && name && selected.every((run) => run[name]) ? off : on;
    }
  }

  return { buttons, mark };
})();
