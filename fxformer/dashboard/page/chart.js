"use strict";
// Plotly charts in the colours of the page; plotly is loaded when the first chart is drawn.

const chart = (() => {
  // The palette of Okabe and Ito (2008), safe for colour-blind readers, without yellow on white.
  // When the colours repeat, the dashes change.
  const COLOURS = {
    light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444"],
    dark: ["#56b4e9", "#e69f00", "#2fc39b", "#e79cc6", "#f0e442", "#ff8a4c", "#cccccc"],
  };
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star"];
  const drawn = new Set(); // elements with a chart
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  let loading = null;

  function ready() {
    if (window.Plotly) return Promise.resolve();
    loading = loading || new Promise((done, fail) => {
      const script = h("script", { src: "plotly.js", onload: done });
      script.addEventListener("error", () => fail(new Error("plotly did not load")));
      document.head.append(script);
    });
    return loading;
  }

  // Colour, dash and marker of the n-th of several series.
  function style(n) {
    const colours = COLOURS[scheme.matches ? "dark" : "light"];
    return {
      colour: colours[n % colours.length],
      dash: DASHES[Math.floor(n / colours.length) % DASHES.length],
      marker: MARKERS[n % MARKERS.length],
    };
  }

  function ink(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function layout(given) {
    const axis = {
      gridcolor: ink("line"), linecolor: ink("line"), zerolinecolor: ink("line"), automargin: true,
      tickfont: { color: ink("soft"), size: 12 }, title: { font: { color: ink("soft"), size: 12 }, standoff: 8 },
    };
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, color: ink("text"), size: 13 },
      margin: { l: 24, r: 16, t: 12, b: 44 }, hovermode: "closest",
      hoverlabel: { bgcolor: ink("card"), bordercolor: ink("line"), font: { color: ink("text") } },
    };
    const mixed = { ...base, ...given };
    for (const name of Object.keys(mixed).filter((n) => /^[xy]axis\d*$/.test(n)).concat("xaxis", "yaxis")) {
      const own = mixed[name] || {};
      const title = typeof own.title === "string" ? { text: own.title } : own.title || {};
      mixed[name] = { ...axis, ...own, title: { ...axis.title, ...title } };
    }
    return mixed;
  }

  // draw(element, () => ({data, layout})): plotly traces and layout. Text in them is escaped with
  // chart.text, because plotly interprets some markup. A change of colour scheme redraws the view.
  async function draw(element, make) {
    await ready();
    if (!element.isConnected) return;
    drawn.add(element);
    const { data, layout: given, config } = make();
    const options = {
      displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d", "toImage"],
      modeBarButtonsToAdd: chartExport.buttons(),
    };
    await Plotly.react(element, data, layout(given || {}), { ...options, ...config });
  }

  // Escapes text for plotly, which interprets <b>, <a href> and the like as markup.
  function text(value) {
    return String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  // Frees the charts whose elements are no longer in the page.
  function sweep() {
    for (const element of drawn) {
      if (element.isConnected) continue;
      drawn.delete(element);
      if (window.Plotly) Plotly.purge(element);
    }
  }

  // Map of the colours of the page to those of white paper, given {name of an ink: colour}.
  function paperColours(inks) {
    const pairs = scheme.matches ? COLOURS.dark.map((colour, n) => [colour, COLOURS.light[n]]) : [];
    return new Map([...pairs, ...Object.keys(inks).map((name) => [ink(name).toLowerCase(), inks[name]])]);
  }

  scheme.addEventListener("change", () => views.again());

  return { draw, style, text, ink, sweep, ready, paperColours };
})();
