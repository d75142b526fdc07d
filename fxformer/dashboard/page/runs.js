"use strict";
// The table of runs.

views.add({
  id: "runs",
  title: "Runs",
  async render(root) {
    const { runs, root: folder } = await api.get("runs");
    if (!runs.length) {
      fill(root, empty(`There are no runs in ${folder}/ yet.`, "fxformer train"));
      return;
    }
    fill(root, h("table", h("thead", h("tr", h("th", "run"), h("th", "status"))),
      h("tbody", runs.map((run) => h("tr", h("td", run.id), h("td", run.status))))));
  },
});
