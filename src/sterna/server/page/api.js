// Asks the server. What is wrong comes as a `Problem` with one sentence for a person.

import { back } from "./connection.js";
import { login } from "./login.js";

const BUSY_TRIES = 5;

/** What the server says is wrong (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  constructor(status, detail, kind) {
    super(detail);
    this.status = status;
    this.kind = kind;
  }
}

/**
 * Ask, and return the JSON of the answer.
 *
 * Where the server is gone, this waits until it is back and asks again; with `once`, it fails instead: what
 * starts something should not start it later, unasked. Where a token is wanted, it is asked for. `bare` takes an
 * answer that is no JSON, and returns null.
 */
export async function ask(path, { method = "GET", json, form, signal, once = false, bare = false } = {}) {
  for (let tries = 1; ; tries += 1) {
    const answer = await send(path, { method, json, form, signal, once });
    if (answer === null) continue;
    if (answer.ok) return answer.status === 204 || bare ? null : answer.json();
    const problem = await problemOf(answer);
    if (answer.status === 401) {
      await login();
    } else if (answer.status === 503 && problem.kind === "busy" && tries < BUSY_TRIES) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    } else {
      throw problem;
    }
    signal?.throwIfAborted();
  }
}

async function send(path, { method, json, form, signal, once }) {
  const headers = json === undefined ? {} : { "Content-Type": "application/json" };
  const body = json === undefined ? form : JSON.stringify(json);
  try {
    return await fetch(path, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const returned = back();
    if (once) throw new Problem(0, "Sterna does not answer.", "gone");
    await returned;
    signal?.throwIfAborted();
    return null;
  }
}

async function problemOf(answer) {
  try {
    const said = await answer.json();
    return new Problem(answer.status, sentence(said.detail), said.type.replace("urn:sterna:problem:", ""));
  } catch {
    return new Problem(answer.status, `The server answered ${answer.status}.`, "unknown");
  }
}

/** The service writes its sentences as a part of a line; here they stand alone. */
function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

export const thumbnail = (id, size) => `/api/photos/${id}/thumbnail?size=${size}`;
export const zipped = (ids) => `/api/photos/zip?${ids.map((id) => `ids=${id}`).join("&")}`;
export const original = (id) => `/api/photos/${id}/original`;
