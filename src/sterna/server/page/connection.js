// Notices that the server is gone, says so, and tells when it is back.

import { byId } from "./dom.js";

const FIRST = 1000; // milliseconds until it is asked again; longer each time
const LONGEST = 8000;
let waiting = null;

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

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
  told.textContent = "Sterna does not answer. This page goes on as soon as it is back.";
  told.className = "";
  told.hidden = false;
  let pause = FIRST;
  do {
    await sleep(pause);
    pause = Math.min(LONGEST, pause * 1.5);
  } while (!(await answers()));
  told.textContent = "Sterna is back.";
  told.className = "well";
  setTimeout(() => {
    if (waiting === null) told.hidden = true;
  }, 2500);
}

async function answers() {
  try {
    return (await fetch("/healthz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
