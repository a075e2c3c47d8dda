// The pulse of the page: every few seconds, while somebody may see it, whether the service is there, and whether
// its library is still the one that is shown.

import { ask } from "./api.js";
import { check } from "./connection.js";

const PAUSE = 5000; // milliseconds between two beats
const PATIENCE = 4000; // after which a service that says nothing is asked whether it is there at all
const AWAY = new Set([502, 504]); // what a proxy answers for a service that is gone

/** Call `beat(generation)` every few seconds; the number is another one once the library has changed. */
export function setUp(beat) {
  let waiting = null;
  let beating = false;
  const once = async () => {
    clearTimeout(waiting);
    if (document.hidden || beating) return; // whoever comes back begins anew
    beating = true;
    try {
      beat(await generation());
    } catch {
      // what is wrong is told where something is asked for
    } finally {
      beating = false;
      waiting = setTimeout(once, PAUSE);
    }
  };
  document.addEventListener("visibilitychange", once);
  for (const kind of ["online", "offline", "pageshow"]) addEventListener(kind, once);
  waiting = setTimeout(once, PAUSE);
}

async function generation() {
  const stopped = new AbortController();
  const patience = setTimeout(() => stopped.abort(), PATIENCE);
  try {
    return (await ask("/api/generation", { signal: stopped.signal })).generation;
  } catch (error) {
    if (error.name === "AbortError" || AWAY.has(error.status)) await check();
    throw error;
  } finally {
    clearTimeout(patience);
  }
}
