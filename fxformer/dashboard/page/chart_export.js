"use strict";
// Saves a chart as a vector graphic for a paper: SVG as a file, PDF by the print dialogue.

const chartExport = (() => {
  const PAPER = { text: "#000000", soft: "#333333", line: "#cccccc", card: "#ffffff", paper: "#ffffff" };

  // A copy of `value` with the colours of the page replaced by those of white paper.
  function onPaper(value, colours) {
    if (typeof value === "string") // a colour may have its opacity behind it, as in #0072b233
      return colours.has(value.slice(0, 7).toLowerCase()) ? colours.get(value.slice(0, 7).toLowerCase()) + value.slice(7) : value;
    if (Array.isArray(value)) return value.map((one) => onPaper(one, colours));
    if (value && Object.getPrototypeOf(value) === Object.prototype)
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, onPaper(one, colours)]));
    return value;
  }

  // Title of the section around a chart.
  function title(element) {
    const section = element.closest("section, .panel, .card");
    const heading = section && section.querySelector("h2, h3, h4");
    return heading ? heading.textContent.trim() : "";
  }

  // SVG text of a chart in the size that it has on the page, on white, with its title and a legend.
  async function svg(element) {
    const colours = chart.paperColours(PAPER), own = onPaper(element.layout, colours);
    const named = element.data.filter((trace) => trace.name && trace.showlegend !== false);
    const { width, height } = element.getBoundingClientRect();
    const legend = named.length > 1 && !own.showlegend ? 22 * Math.ceil(named.length / 2) : 0;
    const layout = {
      ...own, paper_bgcolor: PAPER.paper, plot_bgcolor: PAPER.paper, height: undefined,
      title: { text: chart.text(title(element)), font: { size: 14 } }, margin: { ...own.margin, t: (own.margin.t || 12) + 32 },
      ...(legend ? { showlegend: true, legend: { orientation: "h", y: -0.25, yanchor: "top" } } : {}),
    };
    const url = await Plotly.toImage({ data: onPaper(element.data, colours), layout }, { format: "svg", width, height: height + 32 + legend });
    return decodeURIComponent(url.slice(url.indexOf(",") + 1));
  }

  // Name of the file: view and title of the section around the chart.
  function fileName(element) {
    const words = `${views.id} ${title(element) || element.layout.yaxis?.title?.text || "chart"}`;
    return `${words.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 80)}.svg`;
  }

  async function save(element) {
    const href = URL.createObjectURL(new Blob([await svg(element)], { type: "image/svg+xml" }));
    h("a", { href, download: fileName(element) }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
  }

  // Prints the chart alone; the dialogue of the browser saves it as PDF.
  async function print(element) {
    const picture = h("img.printed-chart", { alt: "", src: `data:image/svg+xml,${encodeURIComponent(await svg(element))}` });
    document.body.append(picture);
    document.body.classList.add("prints-chart");
    window.addEventListener("afterprint", () => {
      picture.remove();
      document.body.classList.remove("prints-chart");
    }, { once: true });
    await picture.decode();
    window.print();
  }

  // Buttons for the tool bar that plotly draws over a chart.
  function buttons() {
    return [
      { name: "save as SVG", icon: Plotly.Icons.disk, click: save },
      { name: "print, or save as PDF", icon: Plotly.Icons.pencil, click: print },
    ];
  }

  return { buttons, svg, fileName };
})();
