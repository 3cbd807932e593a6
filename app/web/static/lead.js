// One lead alone in a dialog, to be zoomed by dragging sideways. uPlot is loaded when it is first needed.

let plotting = null;

function loadPlot() {
  plotting ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/vendor/uPlot.iife.min.js";
    script.addEventListener("load", () => resolve(window.uPlot));
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return plotting;
}

export async function showLead(address, lead, opener) {
  const dialog = document.createElement("dialog");
  const title = document.createElement("h2");
  title.textContent = `Lead ${lead}`;
  const place = document.createElement("div");
  const note = document.createElement("p");
  note.className = "small";
  note.textContent = "Squares of 40 ms and 0.1 mV, thick lines every 200 ms and 0.5 mV. Drag sideways to enlarge a stretch, double-click for all of it.";
  const close = document.createElement("button");
  close.className = "quiet";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.setAttribute("aria-label", `Lead ${lead}`);
  dialog.append(title, place, note, close);
  dialog.addEventListener("close", () => {
    dialog.remove();
    opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  try {
    const [Plot, answer] = await Promise.all([loadPlot(), fetch(`${address}?lead=${encodeURIComponent(lead)}`)]);
    if (!answer.ok) throw new Error("gone");
    draw(Plot, await answer.json(), place);
  } catch {
    note.textContent = "This lead can no longer be had: upload the ECG again.";
  }
}

function draw(Plot, said, place) {
  const ink = colour(place, "ink");
  const line = colour(place, "line");
  const seconds = said.signal_mv.map((_, sample) => said.start_s + sample / said.rate_hz);
  const axis = { stroke: ink, grid: { show: false }, ticks: { stroke: line, width: 1 } };
  const plot = {
    width: place.clientWidth || 640,
    height: 320,
    scales: { x: { time: false } },
    cursor: { drag: { x: true, y: false } },
    legend: { live: true },
    hooks: { drawClear: [paper(colour(place, "grid-thin"), colour(place, "grid-thick"))] },
    axes: [{ ...axis, label: "s" }, { ...axis, label: "mV" }],
    series: [
      { label: "s", value: (_, value) => (value == null ? "" : `${value.toFixed(3)} s`) },
      { label: said.lead, stroke: ink, width: 1.25, value: (_, value) => (value == null ? "" : `${value.toFixed(2)} mV`) },
    ],
  };
  new Plot(plot, [seconds, said.signal_mv], place);
}

// ECG paper beneath the curve, as fine as there is room for: its squares are as wide and as high as the zoom makes them.
function paper(thin, thick) {
  const steps = [
    [0.04, 0.1, thin],
    [0.2, 0.5, thick],
  ];
  return (plot) => {
    const { ctx, bbox } = plot;
    for (const [seconds, millivolt, stroke] of steps) {
      ctx.beginPath();
      for (const x of lines(plot, "x", seconds)) ctx.rect(x, bbox.top, 1, bbox.height);
      for (const y of lines(plot, "y", millivolt)) ctx.rect(bbox.left, y, bbox.width, 1);
      ctx.fillStyle = stroke;
      ctx.fill();
    }
  };
}

// Where lines of a grid lie on the canvas; none where they would be closer than three pixels of the screen.
function lines(plot, scale, step) {
  const { min, max } = plot.scales[scale];
  const first = Math.ceil(min / step);
  const places = Array.from({ length: Math.max(0, Math.floor(max / step) - first + 1) }, (_, n) => (first + n) * step);
  const at = places.map((value) => Math.round(plot.valToPos(value, scale, true)));
  return at.length > 1 && Math.abs(at.at(-1) - at[0]) / (at.length - 1) < 3 * devicePixelRatio ? [] : at;
}

// A colour of the style sheet in the theme of the page, as a canvas takes it.
function colour(place, name) {
  place.style.color = `var(--${name})`;
  const resolved = getComputedStyle(place).color;
  place.style.color = "";
  return resolved;
}
