// The line in which one describes photographs.

import { byId, isTyping } from "./dom.js";
import { empty, get, go } from "./state.js";

export function setUp() {
  const field = byId("query");
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const q = field.value.trim();
    const { filters: kept, model, min, fold } = get();
    const asked = q === "" ? {} : { q, min: min === null ? "model" : min };
    go({ ...empty(), ...asked, filters: kept, model, fold }, { again: true });
    if (matchMedia("(pointer: coarse)").matches) field.blur(); // the keyboard would cover what was found
  });
  field.addEventListener("search", () => {
    if (field.value === "" && get().q !== "") byId("search").requestSubmit(); // the cross in it was pressed
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault(); // a browser would empty the line; its cross does, and what was typed stays here
      field.blur();
    } else if (event.key === "ArrowDown" && byId("grid").querySelector(".tile") !== null) {
      event.preventDefault();
      byId("grid").querySelector('.photo[tabindex="0"]')?.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
}
