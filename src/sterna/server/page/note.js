// What the page says in words: one line above the photographs, and a note where there are none to show.

import { byId, el } from "./dom.js";

let covered = null; // what a word between has taken the place of

/** The line above the photographs; a screen reader reads it aloud when it changes. */
export function tell(sentence) {
  if (byId("status").textContent !== sentence) byId("status").textContent = sentence;
}

/** A note in the place of photographs, with buttons {label, act}. */
export function note(title, sentences, buttons = []) {
  covered = null;
  byId("note").classList.remove("between");
  const place = byId("note");
  place.replaceChildren(
    el("h2", {}, title),
    ...sentences.map((sentence) => el("p", {}, sentence)),
    el("div", { className: "actions" }, ...buttons.map(({ label, act }) => el("button", { on: { click: act } }, label))),
  );
  place.hidden = false;
}

/** A word between, over what is shown: it stays there, and comes back as it was, with a button. */
export function between(title, sentence) {
  const place = byId("note");
  const before = covered ?? { hidden: place.hidden, children: [...place.children], y: scrollY };
  const back = () => {
    covered = null;
    place.classList.remove("between");
    place.replaceChildren(...before.children);
    place.hidden = before.hidden;
    byId("main").focus({ preventScroll: true });
    scrollTo(0, before.y);
  };
  note(title, [sentence], [{ label: "Back to what was shown", act: back }]);
  covered = before;
  place.classList.add("between");
  place.querySelector("button").focus({ preventScroll: true }); // so that it is read aloud, and seen
  scrollTo(0, 0);
}

export function noNote() {
  covered = null;
  byId("note").classList.remove("between");
  byId("note").hidden = true;
  byId("note").replaceChildren();
}
