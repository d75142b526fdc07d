"use strict";
// The search line over the runs: words, and comparisons such as lr>1e-4, valid loss<2.5, energy>1kJ.

const runFilter = (() => {
  const SIGN = ">=|<=|!=|=|>|<";
  const COMPARISON = new RegExp(`^(.+?)\\s*(${SIGN})\\s*(.+)$`);
  const UNIT = "(?:[kMGTPmµun]?(?:J|Wh|g)|%|min|h|d|s)";
  const PREFIX = { P: 1e15, T: 1e12, G: 1e9, M: 1e6, k: 1e3, "": 1, m: 1e-3, "µ": 1e-6, u: 1e-6, n: 1e-9 };

  // Splits a line into terms: "quoted words", comparisons (whose column may be a head of several
  // words and whose value may have a unit: valid loss < 2.5, energy > 1 kJ) and words.
  function terms(line) {
    const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&").replace(/ /g, "\\s+");
    const heads = [...runColumns.titles].sort((a, b) => b.length - a.length).map(escaped).join("|");
    const value = `(?:"[^"]*"|[^\\s"<>=]+(?:\\s+${UNIT}(?=\\s|$))?)`;
    const term = new RegExp(`"[^"]*"|(?:${heads}|[\\w./+-]+)\\s*(?:${SIGN})\\s*${value}|\\S+`, "gi");
    return line.match(term) || [];
  }

  // -> {test(run), unknown: [words that name no column]}; while configs are not there yet, a
  // comparison with one of their keys lets everything through.
  function parse(line) {
    const unknown = [];
    const tests = terms(line).map((term) => {
      const found = term.startsWith('"') ? null : COMPARISON.exec(term);
      if (!found) return contains(term.replace(/^"|"$/g, ""));
      const [, word, sign, given] = found;
      const wanted = given.replace(/^"|"$/g, "");
      const [id] = runColumns.meant(word);
      if (!id) {
        if (runColumns.configs) unknown.push(word);
        return () => true;
      }
      return (run) => compare(runColumns.value(run, id), sign, wanted, id);
    });
    return { test: (run) => tests.every((test) => test(run)), unknown };
  }

  // A number with a unit in the unit of a column: "1kJ" -> 1000 of joules, "1:30" -> 90 seconds.
  // NaN for other text.
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
    const wanted = word.toLowerCase();
    return (run) => {
      const own = runColumns.configs ? Object.values(runColumns.configs.own[run.key] || {}) : [];
      const texts = [run.name, run.key, run.status, run.reason, run.sweep, run.architecture, run.notes, ...(run.tags || []), ...own];
      return texts.some((text) => text !== null && text !== undefined && String(text).toLowerCase().includes(wanted));
    };
  }

  function compare(value, sign, wanted, id) {
    if (value === undefined) return sign === "!=";
    const number = quantity(wanted, id);
    const both = typeof value === "number" && !Number.isNaN(number);
    const [a, b] = both ? [value, number] : [String(value).toLowerCase(), wanted.toLowerCase()];
    switch (sign) {
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
