"use strict";
// Formatting of numbers, units, times and percentages.

const format = {
  // 12345, "J" -> "12.3 kJ"
  si(value, unit = "") {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    const steps = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""],
      [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
    const [factor, prefix] = (size > 0 && steps.find(([f]) => size >= 0.9995 * f)) || [1, ""];
    return `${format.three(value / factor)} ${prefix}${unit}`.trim();
  },

  three(value) {
    const size = Math.abs(value);
    if (size !== 0 && size < 0.005) return value.toPrecision(3);
    return value.toFixed(size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
  },

  // A number of unknown kind, with at most five significant digits.
  number(value) {
    if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
    if (Number.isInteger(value)) return Math.abs(value) < 1e6 ? String(value) : format.si(value);
    const size = Math.abs(value);
    return size >= 1e6 || (size && size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(5)));
  },

  // kWh -> "1.23 Wh". Energy used by the machine is shown in joules, electricity from the grid in watt-hours.
  wh(kwh) {
    return kwh === null || kwh === undefined ? "–" : format.si(1000 * kwh, "Wh");
  },

  clock(seconds) {
    if (!Number.isFinite(seconds)) return "–";
    const whole = Math.max(0, Math.round(seconds));
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    if (hours >= 48) return `${Math.floor(hours / 24)}d ${hours % 24}h`;
    const two = (n) => String(n).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  },

  // ISO time -> "25 Nov 2026, 14:08"
  when(text) {
    const time = new Date(text);
    if (!text || Number.isNaN(time.getTime())) return "–";
    return time.toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  },

  percent(share) {
    return Number.isFinite(share) ? `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %` : "–";
  },
};
