// Images to search by: chosen, dropped or pasted.

import { byId, isTyping } from "./dom.js";
import { bring } from "./images.js";
import { between } from "./note.js";
import { empty, get, go } from "./state.js";

const UNNAMED = "image.png"; // what a browser calls pixels that were copied

const LOOKING = "Looking at the image…";

export function setUp({ busy, trouble }) {
  const search = async (file, name = file.name) => {
    const before = byId("status").textContent;
    busy(LOOKING);
    try {
      const image = await bring(file, get().model, name);
      go({ ...empty(), image, filters: get().filters, model: get().model });
    } catch (error) {
      if (byId("status").textContent === LOOKING) busy(before === LOOKING ? "" : before);
      // what cannot be searched by leaves the page as it is
      if (error.status >= 400 && error.status < 500) between("This image cannot be searched by", `${file.name || "The image"}: ${error.message}`);
      else trouble(error);
    }
  };
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // so that the same one can be chosen again
    if (file) search(file);
  });
  document.addEventListener("paste", (event) => {
    const file = imageOf(event.clipboardData);
    if (file === undefined) return;
    // a program that copies text may put a picture of it beside it
    if (isTyping(event.target) && event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    search(file, file.name === UNNAMED ? "the pasted image" : file.name);
  });
  setUpDrop(search);
}

function setUpDrop(search) {
  const cover = byId("drop");
  let depth = 0; // a pointer enters a child before it leaves the parent
  const show = (wanted) => {
    cover.hidden = !wanted;
    if (!wanted) depth = 0;
  };
  document.addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth += 1;
    show(true);
  });
  document.addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) show(false);
  });
  document.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    show(false);
    const file = event.dataTransfer?.files[0];
    if (file === undefined) return;
    event.preventDefault(); // the browser would leave this page for the file
    search(file);
  });
}

function imageOf(data) {
  return [...(data?.files ?? [])].find((file) => file.type.startsWith("image/"));
}
