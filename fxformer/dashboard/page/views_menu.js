"use strict";
// Menu of saved views: addresses of this page by name, stored in the folder of the runs.

const viewsMenu = (() => {
  async function start() {
    const menu = document.getElementById("saved");
    let saved = {};
    try {
      saved = await api.get("views");
    } catch { /* not in this report */ }
    draw();
    window.addEventListener("hashchange", () => { menu.open = false; });

    function draw(error) {
      const names = Object.keys(saved).sort((a, b) => a.localeCompare(b));
      menu.hidden = !api.live && !names.length;
      const name = h("input", { type: "text", maxlength: 60, placeholder: "name", "aria-label": "name of the view" });
      const save = async () => {
        if (!name.value.trim()) return draw("enter a name for the view");
        return change(name.value, location.hash || `#${views.id}`);
      };
      name.addEventListener("keydown", (event) => { if (event.key === "Enter") save(); });
      fill(menu.querySelector(".saved-list"),
        names.map((one) => h("div.saved", h("a", { href: saved[one], onclick: () => { menu.open = false; } }, one),
          api.live ? h("button.quiet", { onclick: () => change(one, null), "aria-label": `delete the view ${one}` }, "✕") : null)),
        names.length ? null : h("p.soft", "No saved views."),
        api.live ? h("div.saved", name, h("button", { onclick: save }, "save this view")) : null,
        h("p.error", { role: "status" }, error || ""));
    }

    async function change(name, address) {
      try {
        saved = await api.post("views", { name, address });
        draw();
      } catch (error) {
        draw(error.message);
      }
    }
  }

  return { start };
})();
