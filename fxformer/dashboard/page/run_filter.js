"use strict";
// The search line over the runs: words, and comparisons such as lr>1e-4 or status=failed.

const runFilter = (() => {
  const COMPARISON = /^([\w.+-]+?)(>=|<=|!=|=|>|<)(.+)$/;

  // -> {test(run), unknown: [words that name no column]}; while configs are not there yet, a
  // comparison with one of their keys lets everything through.
  function parse(line) {
    const terms = (line.match(/"[^"]*"|\S+/g) || []).map((word) => word.replace(/^"|"$/g, ""));
    const unknown = [];
    const tests = terms.map((term) => {
      const found = COMPARISON.exec(term);
      if (!found) return contains(term);
      const [, word, sign, wanted] = found;
      const [id] = runColumns.meant(word);
      if (!id) {
        if (runColumns.configs) unknown.push(word);
        return () => true;
      }
      return (run) => compare(runColumns.value(run, id), sign, wanted);
    });
    return { test: (run) => tests.every((test) => test(run)), unknown };
  }

  function contains(word) {
    const wanted = word.toLowerCase();
    return (run) => {
      const own = runColumns.configs ? Object.values(runColumns.configs.own[run.key] || {}) : [];
      const texts = [run.name, run.key, run.status, run.reason, run.sweep, run.architecture, run.notes, ...(run.tags || []), ...own];
      return texts.some((text) => text !== null && text !== undefined && String(text).toLowerCase().includes(wanted));
    };
  }

  function compare(value, sign, wanted) {
    if (value === undefined) return sign === "!=";
    const number = Number(wanted);
    const both = typeof value === "number" && wanted.trim() !== "" && !Number.isNaN(number);
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
