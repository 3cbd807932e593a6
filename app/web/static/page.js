// What the page can do beyond what works without scripts. Each part finds its elements by a data attribute and does
// nothing where they are not. `htmx:load` comes for the whole page and for every part that htmx brings.
import { enhanceUpload } from "./upload.js";
import { enhanceTracing } from "./calipers.js";
import { enhancePictures } from "./pictures.js";
import { followJob } from "./jobs.js";

function enhance(root) {
  enhanceUpload(root);
  enhanceTracing(root);
  enhancePictures(root);
  followJob(root);
  for (const button of root.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}

document.addEventListener("htmx:load", (event) => enhance(event.detail.elt));
// A field that was left empty asks nothing, and need not stand in the address.
document.addEventListener("htmx:configRequest", (event) => {
  const asked = event.detail.formData;
  for (const [name, value] of [...asked.entries()]) if (value === "") asked.delete(name);
});
// What is no part of this page (the answer is gone, somebody has logged out) is shown as the page that it is.
for (const kind of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(kind, (event) => window.location.assign(event.detail.pathInfo.finalRequestPath));
}
