"use strict";
// One run, beside the table: how it ended, the command that makes it again, notes, its config.

const runDetail = (() => {
  // close() and kept(), when notes were, are called.
  async function draw(root, run, close, kept) {
    const [one, config] = await Promise.all([api.get("run", { run: run.key }), api.get("config", { run: run.key })]);
    fill(root,
      h("div.bar", h("h2", run.name), h("button.quiet", { onclick: close, "aria-label": "close" }, "✕")),
      h("p.soft.key", run.key),
      h("p", runTable.status({ ...run, reason: null }), one.reason ? h("span.reason", ` ${one.reason}`) : null),
      command("make it again", one.repeat.join("\n")),
      one.repeat.length && one.command && !one.repeat.includes(one.command) ? command("as it was typed", one.command) : null,
      one.wandb ? command("send it to wandb", one.wandb) : null,
      notes(run, one, kept), facts(one), attempts(one), events(one), table(config));
  }

  function command(title, words) {
    return h("section", h("h3", title), h("div.copy", h("code.block", words), copy(words)));
  }

  function copy(words) {
    const button = h("button.quiet", { onclick: async () => {
      try {
        await navigator.clipboard.writeText(words);
        button.textContent = "copied";
      } catch {
        button.textContent = "select it by hand";
      }
    } }, "copy");
    return button;
  }

  function notes(run, one, changed) {
    const off = api.live ? null : true;
    const tags = h("input", { type: "text", value: one.tags.join(", "), placeholder: "tags, with commas between", disabled: off, "aria-label": "tags" });
    const words = h("textarea", { rows: 3, placeholder: "notes", value: one.notes, disabled: off, "aria-label": "notes" });
    const said = h("span.soft", { role: "status" });
    const save = async () => {
      try {
        const kept = await api.post("notes", { key: run.key, notes: words.value, tags: tags.value.split(",").map((t) => t.trim()).filter(Boolean) });
        Object.assign(run, kept);
        said.textContent = "kept in the run's folder";
        changed();
      } catch (error) {
        said.textContent = error.message;
      }
    };
    tags.addEventListener("change", save);
    words.addEventListener("change", save);
    return h("section", h("h3", "notes"), tags, words, said);
  }

  function facts(one) {
    const code = one.code || {}, machine = one.machine || {};
    const rows = [
      ["folder", one.folder],
      ["started", one.started], ["ended", one.ended],
      ["code", code.commit ? `${code.commit.slice(0, 12)}${code.dirty ? ", with changes" : ""}` : null],
      ["machine", [machine.cpu, machine.threads && `${machine.threads} threads`, machine.memory_gb && `${machine.memory_gb} GB`, ...new Set(one.devices || [])].filter(Boolean).join(", ")],
      ["versions", Object.entries(one.packages || {}).map(([name, v]) => `${name} ${v}`).join(", ")],
      ["text dropped", dropped(one)], ["held-out texts", heldOut(one)],
      ["parameters", one.parameters && format.si(one.parameters)],
      ["energy model", (one.assumptions || []).join("; ")], ["not read", (one.unreadable || []).join("; ")],
    ];
    return h("section", h("h3", "facts"), h("dl", rows.filter(([, v]) => v).map(([name, v]) => [h("dt", name), h("dd", v)])));
  }

  // Tokens that were in no batch, by split and reason; old runs do not say.
  function dropped(one) {
    if (!one.tokens_dropped) return null;
    const rows = Object.entries(one.tokens_dropped).flatMap(([split, reasons]) =>
      Object.entries(reasons || {}).map(([reason, tokens]) => `${tokens} tokens of ${split} (${reason})`));
    return rows.join("; ") || "none";
  }

  function heldOut(one) {
    if (one.valid_pieces === null || one.valid_pieces === undefined) return null;
    return `${one.valid_pieces - (one.valid_pieces_missing || 0)} of ${one.valid_pieces} evaluated`;
  }

  function attempts(one) {
    if ((one.attempts || []).length < 2) return null;
    return h("section", h("h3", "attempts"), h("ol", one.attempts.map((a) => h("li", `${a.status}, ${format.when(a.started)} to ${format.when(a.ended)}`))));
  }

  function events(one) {
    if (!(one.events || []).length) return null;
    return h("section", h("h3", "what happened"), h("ul.events", one.events.map((line) => {
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
    const find = h("input", { type: "search", placeholder: "find in the config", "aria-label": "find in the config", oninput: () => show(find.value) });
    return h("section", h("h3", "config"), find, h("table.config", body));
  }

  return { draw, copy };
})();
