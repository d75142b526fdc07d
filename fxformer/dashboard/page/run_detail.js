"use strict";
// Detail panel of one run: status, command to reproduce it, notes, facts, events, config.

const runDetail = (() => {
  // Calls close() when the panel is closed, saved() when notes were saved.
  async function draw(root, run, close, saved) {
    const [one, config] = await Promise.all([api.get("run", { run: run.key }), api.get("config", { run: run.key })]);
    fill(root,
      h("div.bar", h("h2", run.name), h("button.quiet", { onclick: close, "aria-label": "close" }, "✕")),
      h("p.soft.key", run.key),
      h("p", runTable.status({ ...run, reason: null }), one.reason ? h("span.reason", ` ${one.reason}`) : null),
      command("reproduce", one.repeat.join("\n")),
      one.repeat.length && one.command && !one.repeat.includes(one.command) ? command("command line", one.command) : null,
      one.wandb ? command("sync to wandb", one.wandb) : null,
      notes(run, one, saved), facts(one), attempts(one), events(one), table(config));
  }

  function command(title, text) {
    return h("section", h("h3", title), h("div.copy", h("code.block", text), copy(text)));
  }

  function copy(text) {
    const button = h("button.quiet", { onclick: async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        button.textContent = "copy failed: select the text";
      }
    } }, "copy");
    return button;
  }

  function notes(run, one, saved) {
    const disabled = api.live ? null : true;
    const tags = h("input", { type: "text", value: one.tags.join(", "), placeholder: "tags, comma-separated", disabled, "aria-label": "tags" });
    const text = h("textarea", { rows: 3, placeholder: "notes", value: one.notes, disabled, "aria-label": "notes" });
    const message = h("span.soft", { role: "status" });
    const save = async () => {
      try {
        const kept = await api.post("notes", { key: run.key, notes: text.value, tags: tags.value.split(",").map((t) => t.trim()).filter(Boolean) });
        Object.assign(run, kept);
        message.textContent = "saved in the run's folder";
        saved();
      } catch (error) {
        message.textContent = error.message;
      }
    };
    // One save after the other: a later one must not be overtaken by an earlier one.
    let saving = Promise.resolve();
    const queue = () => { saving = saving.then(save); };
    tags.addEventListener("change", queue);
    text.addEventListener("change", queue);
    return h("section", h("h3", "notes"), tags, text, message);
  }

  function facts(one) {
    const code = one.code || {}, machine = one.machine || {};
    const rows = [
      ["folder", one.folder],
      ["started", one.started], ["ended", one.ended],
      ["code", code.commit ? `${code.commit.slice(0, 12)}${code.dirty ? ", with changes" : ""}` : null],
      ["machine", [machine.cpu, machine.threads && `${machine.threads} threads`, machine.memory_gb && `${machine.memory_gb} GB`, ...new Set(one.devices || [])].filter(Boolean).join(", ")],
      ["versions", Object.entries(one.packages || {}).map(([name, v]) => `${name} ${v}`).join(", ")],
      ...(one.evaluations || []),
      ["tokens dropped", dropped(one)], ["held-out pieces evaluated", heldOut(one)],
      ["parameters", one.parameters && format.si(one.parameters)],
      ["energy assumptions", (one.assumptions || []).join("; ")], ["unreadable sensors", (one.unreadable || []).join("; ")],
    ];
    return h("section", h("h3", "facts"), h("dl", rows.filter(([, v]) => v).map(([name, v]) => [h("dt", name), h("dd", v)])));
  }

  // Tokens that were in no batch, by split and reason; null where not recorded.
  function dropped(one) {
    if (!one.tokens_dropped) return null;
    const rows = Object.entries(one.tokens_dropped).flatMap(([split, reasons]) =>
      Object.entries(reasons || {}).map(([reason, tokens]) => `${tokens} tokens of ${split} (${reason})`));
    return rows.join("; ") || "none";
  }

  function heldOut(one) {
    if (one.valid_pieces === null || one.valid_pieces === undefined) return null;
    return `${one.valid_pieces - (one.valid_pieces_missing || 0)} of ${one.valid_pieces}`;
  }

  function attempts(one) {
    if ((one.attempts || []).length < 2) return null;
    return h("section", h("h3", "attempts"), h("ol", one.attempts.map((a) => h("li", `${a.status}, ${format.when(a.started)} to ${format.when(a.ended)}`))));
  }

  function events(one) {
    if (!(one.events || []).length) return null;
    return h("section", h("h3", "events"), h("ul.events", one.events.map((line) => {
      const { event, time, attempt, ...rest } = line;
      return h("li", h("b", event), " ", h("span.soft", format.when(time)), " ", Object.entries(rest).map(([k, v]) => `${k}=${typeof v === "object" ? JSON.stringify(v) : v}`).join(" ").slice(0, 300));
    })));
  }

  function table(config) {
    const body = h("tbody");
    const show = (word) => fill(body, Object.entries(config)
      .filter(([key, v]) => !word || `${key} ${v}`.toLowerCase().includes(word.toLowerCase()))
      .map(([key, v]) => h("tr", h("td", key), h("td", runColumns.text(v)))));
    show("");
    const search = h("input", { type: "search", placeholder: "search the config", "aria-label": "search the config", oninput: () => show(search.value) });
    return h("section", h("h3", "config"), search, h("table.config", body));
  }

  return { draw, copy };
})();
