// Images that somebody brings: embedded by the server once, and from then on a short text in the address, so
// that a search by an image can be shared and repeated although the image itself stays here.

import { ask } from "./api.js";

const STORE = "sterna-images"; // what this tab keeps of them, for when the page is loaded anew
const KEPT = 12;
const SIDE = 56; // pixels of a kept picture
const previews = new Map(); // by that text: {file, url, name}; without the file where it was kept

/** Embed a file; returns its text, "FINGERPRINT.NUMBERS". It is called `name` from then on. */
export async function bring(file, model, name = file.name) {
  const form = new FormData();
  form.append("image", file);
  form.append("json", JSON.stringify({ encoding: "base64", ...(model === null ? {} : { model }) }));
  const answer = await ask("/api/embed", { method: "POST", form, once: true });
  const text = `${answer.fingerprint.slice(0, 8)}.${shortened(answer.vectors[0])}`;
  if (previews.get(text)?.file === undefined) {
    previews.set(text, { file, url: URL.createObjectURL(file), name });
    keep(text, { name });
    pictured(file).then((url) => keep(text, { name, url })); // a large image takes a while: the search does not wait
  }
  return text;
}

/** The vector of a brought image as the service takes it, or null where the text is none. */
export function vector(text) {
  const numbers = bytes(text.slice(text.indexOf(".") + 1).replaceAll("-", "+").replaceAll("_", "/"));
  return numbers === null || numbers.every((one) => one === 0) ? null : Array.from(new Int8Array(numbers.buffer));
}

/** {file, url, name} of an image that was brought in this tab, or undefined; `file` and `url` may be missing. */
export const preview = (text) => previews.get(text) ?? kept().find(([own]) => own === text)?.[1];

function kept() {
  try {
    const list = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch {
    return []; // a browser that keeps nothing
  }
}

function keep(text, facts) {
  const list = [[text, facts], ...kept().filter(([own]) => own !== text)].slice(0, KEPT);
  try {
    sessionStorage.setItem(STORE, JSON.stringify(list));
  } catch {
    // the chip has its picture until the page is left
  }
}

/** A picture of an image as an address, so small that it can be kept; undefined where a browser cannot show it. */
async function pictured(file) {
  try {
    const image = await createImageBitmap(file);
    const cut = Math.min(image.width, image.height);
    const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    const [left, top] = [(image.width - cut) / 2, (image.height - cut) / 2];
    canvas.getContext("2d").drawImage(image, left, top, cut, cut, 0, 0, SIDE, SIDE);
    image.close();
    return canvas.toDataURL("image/jpeg", 0.8);
  } catch {
    return undefined;
  }
}

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
