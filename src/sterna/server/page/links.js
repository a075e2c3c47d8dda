// Links to the views of the page, which change what is shown without loading the page anew.

import { empty, get, go } from "./state.js";

export function setUp() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-go]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(link.dataset.go === "start" ? empty() : { ...empty(), view: link.dataset.go, model: get().model });
  });
}
