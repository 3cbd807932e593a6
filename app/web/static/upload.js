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
    field.setCustomValidity(tooMuch(form, field.files));
    if (!field.validity.valid && names.length) chosen.textContent = field.validationMessage;
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

// Said before anything is sent, so that the other fields keep what they hold; the server refuses the same.
function tooMuch(form, files) {
  const { mostFiles, mostBytes } = form.dataset;
  const bytes = [...files].reduce((sum, file) => sum + file.size, 0);
  if (files.length > Number(mostFiles)) return `At most ${mostFiles} files can be sent at once.`;
  if (bytes > Number(mostBytes)) return `At most ${Math.floor(Number(mostBytes) / 2 ** 20)} MiB can be sent at once.`;
  return "";
}
