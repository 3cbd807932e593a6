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
  note.textContent = "Drag sideways to enlarge a stretch, double-click for all of it.";
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
  const ink = getComputedStyle(document.body).color;
  const line = getComputedStyle(place.closest("dialog")).borderTopColor;
  const seconds = said.signal_mv.map((_, sample) => said.start_s + sample / said.rate_hz);
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const plot = {
    width: place.clientWidth || 640,
    height: 320,
    scales: { x: { time: false } },
    cursor: { drag: { x: true, y: false } },
    legend: { live: true },
    axes: [{ ...axis, label: "s" }, { ...axis, label: "mV" }],
    series: [
      { label: "s", value: (_, value) => (value == null ? "" : `${value.toFixed(3)} s`) },
      { label: said.lead, stroke: ink, width: 1.25, value: (_, value) => (value == null ? "" : `${value.toFixed(2)} mV`) },
    ],
  };
  new Plot(plot, [seconds, said.signal_mv], place);
}
