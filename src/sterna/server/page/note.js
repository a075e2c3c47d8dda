// What the page says in words: one line above the photographs, and a note where there are none to show.

import { byId, el } from "./dom.js";

/** The line above the photographs; a screen reader reads it aloud when it changes. */
export function tell(sentence) {
  if (byId("status").textContent !== sentence) byId("status").textContent = sentence;
}

/** A note in the place of photographs, with buttons {label, act}. */
export function note(title, sentences, buttons = []) {
  const place = byId("note");
  place.replaceChildren(
    el("h2", {}, title),
    ...sentences.map((sentence) => el("p", {}, sentence)),
    el("div", { className: "actions" }, ...buttons.map(({ label, act }) => el("button", { on: { click: act } }, label))),
  );
  place.hidden = false;
}

export function noNote() {
  byId("note").hidden = true;
  byId("note").replaceChildren();
}
