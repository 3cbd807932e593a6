// A click on a view shows it large, in a dialog that Escape closes.

export function enhancePictures(root) {
  for (const button of root.querySelectorAll("[data-enlarge]")) {
    button.addEventListener("click", () => show(button));
  }
}

function show(button) {
  const dialog = document.createElement("dialog");
  const picture = document.createElement("img");
  const still = button.querySelector("img");
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  picture.src = calm ? still.currentSrc : button.dataset.enlarge;
  picture.alt = button.dataset.caption;
  const caption = document.createElement("p");
  caption.textContent = button.dataset.caption;
  const close = document.createElement("button");
  close.textContent = "Close";
  close.className = "quiet";
  close.addEventListener("click", () => dialog.close());
  dialog.append(caption, picture, close);
  dialog.setAttribute("aria-label", button.dataset.caption);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    button.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}
