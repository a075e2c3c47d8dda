// Notices that the server is gone, says so, and tells when it is back.

import { byId } from "./dom.js";

const FIRST = 1000; // milliseconds until it is asked again; longer each time
const LONGEST = 5000;
const PATIENCE = 4000; // with a service that takes a question and says nothing
let waiting = null;

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** Resolves while somebody may see the page: nobody else has to know. */
const seen = () =>
  document.hidden ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true })) : null;

/** Resolves when the server answers again. Everybody who waits waits for the same question. */
export function back() {
  waiting ??= wait().finally(() => {
    waiting = null;
  });
  return waiting;
}

/** Whether the server answers now; where it does not, the page says so and waits. */
export async function check() {
  if (waiting !== null || (await answers())) return;
  await back();
}

async function wait() {
  const told = byId("gone");
  told.textContent = "Sterna does not answer: it was stopped, or cannot be reached from here. This page goes on by itself as soon as it is back.";
  told.className = "";
  told.hidden = false;
  let over = raise(told, undefined);
  let pause = FIRST;
  do {
    await sleep(pause);
    over = raise(told, over);
    await seen();
    pause = Math.min(LONGEST, pause * 1.5);
  } while (!(await answers()));
  told.textContent = "Sterna is back.";
  told.className = "well";
  setTimeout(() => {
    if (waiting !== null) return;
    told.hidden = true;
    told.hidePopover?.();
  }, 2500);
}

/** Bring it over the dialog that is open, where that is not the one that it is over already; returns that one. */
function raise(told, over) {
  const dialog = document.querySelector("dialog[open]");
  if (dialog !== over && told.showPopover !== undefined) {
    if (told.matches(":popover-open")) told.hidePopover();
    told.showPopover();
  }
  return dialog;
}

async function answers() {
  try {
    return (await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) })).ok;
  } catch {
    return false;
  }
}
