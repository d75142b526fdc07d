"use strict";
// Buttons that pin, archive and delete the chosen runs, each with an undo.

const runManage = (() => {
  // chosenRuns() -> runs; changed(): called when the list of runs has to be read anew
  function buttons(chosenRuns, said, changed) {
    const keys = () => chosenRuns().map((run) => run.key);
    const button = (id, words, act) => h("button", { id, onclick: act, hidden: true }, words);
    return [
      button("pin", "pin", () => flip("pinned", "pinned", "no longer pinned")),
      button("archive", "archive", () => flip("archived", "archived", "taken out of the archive")),
      button("delete", "delete", remove),
    ];

    async function flip(name, words, back) {
      const some = keys(), on = !chosenRuns().every((run) => run[name]);
      await act(() => api.post("mark", { keys: some, [name]: on }), () => api.post("mark", { keys: some, [name]: !on }),
        `${count(some)} ${on ? words : back}`);
    }

    async function remove() {
      const some = keys();
      await act(() => api.post("delete", { keys: some }), () => api.post("restore", { keys: some }),
        (answer) => `${count(some)} moved to ${answer.folder}/`);
      for (const key of some) chosen.toggle(key, false);
    }

    async function act(change, undo, words) {
      try {
        const answer = await change();
        fill(said, typeof words === "string" ? words : words(answer), " ", h("button.quiet", { onclick: async () => {
          try {
            await undo();
            fill(said, "undone");
          } catch (error) {
            fill(said, h("span.error", error.message));
          }
          await changed();
        } }, "undo"));
      } catch (error) {
        fill(said, h("span.error", error.message));
      }
      await changed();
    }
  }

  function count(keys) {
    return `${keys.length} ${keys.length === 1 ? "run" : "runs"}`;
  }

  // The buttons say what a click would do to these runs.
  function mark(some) {
    for (const [id, name, on, off] of [["pin", "pinned", "pin", "unpin"], ["archive", "archived", "archive", "unarchive"], ["delete", null, "delete", ""]]) {
      const button = document.getElementById(id);
      if (!button) continue;
      button.hidden = !some.length || !api.live;
      button.textContent = some.length && name && some.every((run) => run[name]) ? off : on;
    }
  }

  return { buttons, mark };
})();
