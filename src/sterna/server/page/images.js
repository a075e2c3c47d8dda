// Images that somebody brings: embedded by the server once, and from then on a short text in the address, so
// that a search by an image can be shared and repeated although the image itself stays here.

import { ask } from "./api.js";

const previews = new Map(); // by that text: the file, and an address to show it by

/** Embed a file; returns its text, "FINGERPRINT.NUMBERS". */
export async function bring(file, model) {
  const form = new FormData();
  form.append("image", file);
  form.append("json", JSON.stringify({ encoding: "base64", ...(model === null ? {} : { model }) }));
  const answer = await ask("/api/embed", { method: "POST", form, once: true });
  const text = `${answer.fingerprint.slice(0, 8)}.${shortened(answer.vectors[0])}`;
  if (!previews.has(text)) previews.set(text, { file, url: URL.createObjectURL(file), name: file.name });
  return text;
}

/** The vector of a brought image as the service takes it, or null where the text is none. */
export function vector(text) {
  const numbers = bytes(text.slice(text.indexOf(".") + 1).replaceAll("-", "+").replaceAll("_", "/"));
  return numbers === null || numbers.length === 0 ? null : Array.from(new Int8Array(numbers.buffer));
}

/** {file, url, name} of an image that was brought since the page was loaded, or undefined. */
export const preview = (text) => previews.get(text);

// 127 steps a number change a cosine by less than a thousandth, and make a quarter of the letters.
function shortened(base64) {
  const numbers = new Float32Array(bytes(base64).buffer);
  const most = numbers.reduce((found, one) => Math.max(found, Math.abs(one)), 1e-12);
  const steps = Int8Array.from(numbers, (one) => Math.round((one / most) * 127));
  const letters = btoa(String.fromCharCode(...new Uint8Array(steps.buffer)));
  return letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function bytes(base64) {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}
