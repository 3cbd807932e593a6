// The upload form: files can be dropped on it, it says what was chosen, and that it is working.

export function enhanceUpload(root) {
  const form = root.querySelector("form[data-upload]");
  if (!form) return;
  const field = form.querySelector("input[type=file]");
  const drop = form.querySelector(".drop");
  const chosen = form.querySelector("[data-chosen]");

  const say = () => {
    const names = [...field.files].map((file) => file.name);
    chosen.textContent = names.length ? `Chosen: ${names.join(", ")}` : "";
  };
  field.addEventListener("change", say);
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    field.files = event.dataTransfer.files;
    say();
  });
  form.addEventListener("submit", () => {
    form.classList.add("sending");
    // Not disabled: a disabled button sends nothing, and Back brings the page as it was left.
  });
  window.addEventListener("pageshow", () => form.classList.remove("sending"));
}
