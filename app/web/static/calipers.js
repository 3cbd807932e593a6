// Calipers over the tracing, in milliseconds and millivolt, by mouse, touch and keyboard; and one lead alone, larger.
//
// The drawing says its own scale: millimetres are the unit of its viewBox, and `data-mm-per-s` and `data-mm-per-mv` of
// its root what they stand for. So a measurement is right at every zoom, whatever a pixel is.
import { showLead } from "./lead.js";

const SVG = "http://www.w3.org/2000/svg";
// The finest step of the drawing, a sample of 500 Hz at 25 mm/s; and a small square of its paper.
const STEP_MM = 0.05;
const FAR_MM = 1;

export function enhanceTracing(root) {
  const places = root.matches?.("#tracing") ? [root] : root.querySelectorAll("#tracing");
  for (const place of places) {
    const drawing = place.querySelector("svg.ecg");
    if (drawing) new Calipers(place, drawing);
  }
}

class Calipers {
  constructor(place, drawing) {
    this.drawing = drawing;
    this.sheet = place.querySelector(".tracing");
    this.button = place.querySelector("[data-measure]");
    this.readout = place.querySelector("output");
    this.perSecond = Number(drawing.dataset.mmPerS);
    this.perMillivolt = Number(drawing.dataset.mmPerMv);
    for (const hidden of place.querySelectorAll("[data-calipers]")) hidden.hidden = false;
    this.button.addEventListener("click", () => (this.layer ? this.remove() : this.begin()));
    drawing.addEventListener("pointerdown", (event) => this.press(event));
    drawing.setAttribute("role", "group"); // a picture has no parts to press, and now it has
    for (const label of drawing.querySelectorAll("text.ecg-label")) {
      label.setAttribute("tabindex", "0");
      label.setAttribute("role", "button");
      label.classList.add("opens-lead");
      const open = () => showLead(place.dataset.samples, label.textContent, label);
      label.addEventListener("click", open);
      label.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault(); // else the key goes on to the button that the dialog puts the focus on
        open();
      });
    }
  }

  // Two ends, each a corner of a rectangle, in millimetres.
  begin(from) {
    this.remove();
    this.ends = from ? [{ ...from }, { ...from }] : this.inSight();
    this.layer = document.createElementNS(SVG, "g");
    this.layer.setAttribute("class", "calipers");
    this.area = this.layer.appendChild(document.createElementNS(SVG, "rect"));
    this.handles = this.ends.map((_, place) => this.handle(place));
    this.drawing.append(this.layer);
    this.button.setAttribute("aria-pressed", "true");
    this.sheet.classList.add("measuring");
    this.draw();
    if (!from) this.handles[0].focus();
  }

  // On the baseline of a lead in the part of the drawing that is in sight, and half a millivolt's way above it.
  inSight() {
    const sheet = this.sheet.getBoundingClientRect();
    const top = Math.max(sheet.top, 0);
    const bottom = Math.min(sheet.bottom, window.innerHeight);
    const first = this.at({
      clientX: Math.max(sheet.left, 0) + sheet.width * 0.25,
      clientY: bottom > top ? (top + bottom) / 2 : (sheet.top + sheet.bottom) / 2,
    });
    const y = Number(this.stripAt(first)?.dataset.baseline ?? first.y);
    return [{ x: first.x, y }, this.within({ x: first.x + this.perSecond * 0.4, y: y - this.perMillivolt / 2 })];
  }

  // The strip that a point lies in, or is nearest to.
  stripAt(point) {
    const beyond = (at, from, length) => Math.max(from - at, 0, at - from - length);
    const far = ({ x, y, width, height }) =>
      Math.hypot(beyond(point.x, x, width), beyond(point.y, y, height));
    const strips = [...this.drawing.querySelectorAll("g.ecg-strip")];
    const boxes = new Map(strips.map((strip) => [strip, boxOf(strip)]));
    return strips.sort((one, other) => far(boxes.get(one)) - far(boxes.get(other)))[0];
  }

  handle(place) {
    const handle = this.layer.appendChild(document.createElementNS(SVG, "circle"));
    handle.setAttribute("r", "1.6");
    handle.setAttribute("tabindex", "0");
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", place ? "Second end of the calipers" : "First end of the calipers");
    handle.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      event.preventDefault();
      this.drag(event, place);
    });
    // Chromium minds no `touch-action` within a drawing: without this the finger would scroll.
    handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    handle.addEventListener("keydown", (event) => this.key(event, place));
    return handle;
  }

  press(event) {
    if (event.target.closest(".ecg-label, .calipers circle")) return;
    // A finger scrolls the page, unless it is put on an end of the calipers.
    if (event.pointerType !== "mouse") return;
    if (event.button > 0) return;
    event.preventDefault();
    this.begin(this.at(event));
    this.drag(event, 1);
  }

  drag(event, place) {
    const move = (moved) => {
      this.ends[place] = this.at(moved);
      this.draw();
    };
    const stop = () => {
      this.drawing.removeEventListener("pointermove", move);
      this.drawing.removeEventListener("pointerup", stop);
      this.drawing.removeEventListener("pointercancel", stop);
      if (this.dragged < 0.5) this.remove();
    };
    this.drawing.setPointerCapture?.(event.pointerId);
    this.drawing.addEventListener("pointermove", move);
    this.drawing.addEventListener("pointerup", stop);
    this.drawing.addEventListener("pointercancel", stop);
  }

  key(event, place) {
    const step = event.shiftKey ? FAR_MM : STEP_MM;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") {
      this.remove();
      this.button.focus();
    }
    if (!way || !this.layer) return;
    event.preventDefault();
    this.ends[place] = this.within({ x: this.ends[place].x + way[0] * step, y: this.ends[place].y + way[1] * step });
    this.draw();
  }

  get dragged() {
    return this.layer ? Math.hypot(this.ends[1].x - this.ends[0].x, this.ends[1].y - this.ends[0].y) : Infinity;
  }

  at(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.drawing.getScreenCTM().inverse());
    return this.within(point);
  }

  within(point) {
    const box = this.drawing.viewBox.baseVal;
    return { x: Math.min(Math.max(point.x, 0), box.width), y: Math.min(Math.max(point.y, 0), box.height) };
  }

  draw() {
    const [one, other] = this.ends;
    const set = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
    set(this.area, {
      x: Math.min(one.x, other.x),
      y: Math.min(one.y, other.y),
      width: Math.abs(one.x - other.x),
      height: Math.abs(one.y - other.y),
    });
    const ms = (Math.abs(other.x - one.x) / this.perSecond) * 1000;
    const mv = (one.y - other.y) / this.perMillivolt;
    const perMinute = ms >= 200 ? `, ${(60000 / ms).toFixed(0)}/min` : "";
    const height = `, ${mv >= 0 ? "+" : "\u2212"}${Math.abs(mv).toFixed(2)} mV`;
    // Each lead has a baseline of its own, so that a height between two of them means nothing.
    const ofOneLead = this.stripAt(one) === this.stripAt(other);
    const said = `${ms.toFixed(0)} ms${perMinute}${ofOneLead ? height : "; ms only between leads"}`;
    this.readout.textContent = said;
    this.handles.forEach((handle, place) => {
      set(handle, { cx: this.ends[place].x, cy: this.ends[place].y, "aria-valuenow": ms.toFixed(0), "aria-valuetext": said });
    });
  }

  remove() {
    this.layer?.remove();
    this.layer = null;
    this.readout.textContent = "";
    this.button.setAttribute("aria-pressed", "false");
    this.sheet.classList.remove("measuring");
  }
}

// What a strip is clipped to.
function boxOf(strip) {
  const clip = document.getElementById(strip.getAttribute("clip-path").slice("url(#".length, -1));
  const [x, y, width, height] = ["x", "y", "width", "height"].map((name) =>
    Number(clip.firstElementChild.getAttribute(name)),
  );
  return { x, y, width, height };
}
