"use strict";
// Filter language of the runs table: words, and comparisons such as lr>1e-4, valid loss<2.5, energy>1kJ.

const runFilter = (() => {
  const OPERATOR = ">=|<=|!=|=|>|<";
  const COMPARISON = new RegExp(`^(.+?)\\s*(${OPERATOR})\\s*(.+)$`);
  const UNIT = "(?:[kMGTPmµun]?(?:J|Wh|g)|%|min|h|d|s)";
  const PREFIX = { P: 1e15, T: 1e12, G: 1e9, M: 1e6, k: 1e3, "": 1, m: 1e-3, "µ": 1e-6, u: 1e-6, n: 1e-9 };

  // Splits a line into terms: "quoted words", comparisons (the column may be a title of several words
  // and the value may have a unit: valid loss < 2.5, energy > 1 kJ) and words.
  function terms(line) {
    const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&").replace(/ /g, "\\s+");
    const titles = [...runColumns.titles].sort((a, b) => b.length - a.length).map(escaped).join("|");
    const value = `(?:"[^"]*"|[^\\s"<>=]+(?:\\s+${UNIT}(?=\\s|$))?)`;
    const term = new RegExp(`"[^"]*"|(?:${titles}|[\\w./+-]+)\\s*(?:${OPERATOR})\\s*${value}|\\S+`, "gi");
    return line.match(term) || [];
  }

  // -> {test(run), unknown: [names that are no column]}. Until the configs are loaded, comparisons with
  // their keys match every run.
  function parse(line) {
    const unknown = [];
    const tests = terms(line).map((term) => {
      const found = term.startsWith('"') ? null : COMPARISON.exec(term);
      if (!found) return contains(term.replace(/^"|"$/g, ""));
      const [, name, operator, text] = found;
      const operand = text.replace(/^"|"$/g, "");
      const [id] = runColumns.resolve(name);
      if (!id) {
        if (runColumns.configs) unknown.push(name);
        return () => true;
      }
      return (run) => compare(runColumns.value(run, id), operator, operand, id);
    });
    return { test: (run) => tests.every((test) => test(run)), unknown };
  }

  // Parses a number with a unit into the unit of a column: "1kJ" -> 1000 for joules, "1:30" -> 90 for
  // seconds. NaN for other text.
  function quantity(text, id) {
    const clock = /^(?:(\d+):)?(\d+):(\d\d)$/.exec(text);
    if (clock && id === "seconds") return 3600 * Number(clock[1] || 0) + 60 * Number(clock[2]) + Number(clock[3]);
    const found = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(\D*)$/i.exec(text.trim());
    if (!found) return NaN;
    const number = Number(found[1]), unit = found[2];
    if (unit === "") return number;
    if (unit === "%") return number / 100;
    const time = { s: 1, min: 60, h: 3600, d: 86400 }[unit];
    if (time && id === "seconds") return number * time;
    const parts = /^([PTGMkmµun]?)(J|Wh|g)?$/.exec(unit);
    if (!parts) return NaN;
    const joules = { J: 1, Wh: 3600 }[parts[2]];
    const own = { joules: 1, kwh: 3.6e6 }[id];
    return number * PREFIX[parts[1]] * (joules && own ? joules / own : 1);
  }

  function contains(word) {
    const needle = word.toLowerCase();
    return (run) => {
      const own = runColumns.configs ? Object.values(runColumns.configs.own[run.key] || {}) : [];
      const texts = [run.name, run.key, run.status, run.reason, run.sweep, run.architecture, run.notes, ...(run.tags || []), ...own];
      return texts.some((text) => text !== null && text !== undefined && String(text).toLowerCase().includes(needle));
    };
  }

  function compare(value, operator, operand, id) {
    if (value === undefined) return operator === "!=";
    const number = quantity(operand, id);
    const both = typeof value === "number" && !Number.isNaN(number);
    const [a, b] = both ? [value, number] : [String(value).toLowerCase(), operand.toLowerCase()];
    switch (operator) {
      case "=": return both ? a === b : a.includes(b);
      case "!=": return both ? a !== b : !a.includes(b);
      case ">": return a > b;
      case "<": return a < b;
      case ">=": return a >= b;
      default: return a <= b;
    }
  }

  return { parse };
})();
