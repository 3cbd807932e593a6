// Progress of a running rebuild, as the server sends it.

export function followJob(root) {
  for (const place of root.querySelectorAll("[data-job-events]")) {
    const bar = place.querySelector("progress");
    const words = place.querySelector("[data-job-words]");
    const events = new EventSource(place.dataset.jobEvents);
    events.addEventListener("progress", (event) => {
      const job = JSON.parse(event.data);
      bar.max = Math.max(job.progress.total, 1);
      bar.value = job.progress.done;
      words.textContent = `${job.progress.message} ${job.progress.done} of ${job.progress.total}`;
      if (job.state !== "running") {
        events.close();
        window.location.reload();
      }
    });
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) words.textContent = "No news of this job; reload the page.";
    });
  }
}
