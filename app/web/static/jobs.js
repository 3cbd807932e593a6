// Progress of a running rebuild, as the API sends it: `progress` after every change, and `end`. What follows from the end
// (another generation, another button) is drawn by the server: the element that hears `job-ended` asks for it.

export function followJob(root) {
  for (const place of root.querySelectorAll("[data-job-events]")) {
    const bar = place.querySelector("progress");
    const words = place.querySelector("[data-job-words]");
    const events = new EventSource(place.dataset.jobEvents);
    events.addEventListener("progress", (event) => {
      const { done, total, message } = JSON.parse(event.data).progress;
      if (total) {
        bar.max = total;
        bar.value = done;
      } else {
        bar.removeAttribute("value"); // nobody knows how much there is
      }
      words.textContent = total ? `${message} ${done} of ${total}` : message || "Starting …";
    });
    events.addEventListener("end", (event) => {
      events.close();
      words.textContent = `Ended: ${JSON.parse(event.data).state}.`;
      place.dispatchEvent(new CustomEvent("job-ended", { bubbles: true }));
    });
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) words.textContent = "No news of this rebuild: reload the page.";
    });
  }
}
