// Asks for the token of a service that wants one. The browser then bears a cookie that no script can read.

import { byId } from "./dom.js";

let asking = null;

/** Resolves when the server has taken the token. Everybody who waits waits for the same dialog. */
export function login() {
  asking ??= show().finally(() => {
    asking = null;
  });
  return asking;
}

function show() {
  const dialog = byId("login");
  const token = byId("token");
  const said = byId("login-said");
  said.textContent = "";
  token.value = "";
  const before = document.activeElement;
  dialog.showModal();
  token.focus();
  return new Promise((resolve) => {
    const stay = (event) => event.preventDefault(); // there is nothing behind it to go to
    const again = () => { // a browser lets nobody forbid it twice
      dialog.showModal();
      token.focus();
    };
    const enter = async (event) => {
      event.preventDefault();
      said.textContent = await tried(token.value.trim());
      if (said.textContent !== "") {
        token.select();
        return;
      }
      dialog.removeEventListener("cancel", stay);
      dialog.removeEventListener("close", again);
      dialog.removeEventListener("submit", enter);
      dialog.close();
      before?.focus?.();
      resolve();
    };
    dialog.addEventListener("cancel", stay);
    dialog.addEventListener("close", again);
    dialog.addEventListener("submit", enter);
  });
}

async function tried(token) {
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.ok) return "";
    return answer.status === 401 ? "This is not the token." : `The server answered ${answer.status}.`;
  } catch {
    return "Sterna does not answer. Try again in a moment.";
  }
}
