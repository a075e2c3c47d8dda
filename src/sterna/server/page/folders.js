// The folders of the library: each with what it holds, one more to add, and one less.

import { ask } from "./api.js";
import { byId, el, many } from "./dom.js";

let asked = null; // the last question whether a folder is to be taken out

/**
 * The part of the page that shows the folders of a status.
 * `start(roots)` begins a run of indexing and fails with a sentence; `trouble(sentence)` shows one beside the run;
 * `forgotten(root)` is called when one has been taken out.
 */
export function folders(status, { start, trouble, forgotten }) {
  const { roots, may_add: allowed } = status;
  const rows = roots.map((root) =>
    el(
      "li",
      {},
      el("div", {}, el("strong", {}, root.name), " ", el("span", { className: "path" }, root.path)),
      el("span", { className: root.online ? "quiet" : "wrong" }, `${many(root.photos, "photograph")}${root.online ? "" : ", not there now"}`),
      el(
        "div",
        { className: "actions" },
        el("button", { "aria-label": `Update ${root.name}`, on: { click: () => start([root.id]).catch((error) => trouble(error.message)) } }, "Update"),
        root.removable
          ? el("button", { "aria-label": `Forget ${root.name}…`, on: { click: () => forget(root, { trouble, forgotten }) } }, "Forget…")
          : null,
      ),
    ),
  );
  return el(
    "section",
    { "aria-labelledby": "folders-title" },
    el("h3", { id: "folders-title" }, "Folders"),
    rows.length === 0 ? el("p", { className: "quiet" }, "None yet.") : el("ul", { className: "rows" }, ...rows),
    allowed.length > 0 ? adding(allowed, { start }) : howTo(),
  );
}

function adding(allowed, { start }) {
  const said = el("p", { className: "wrong", id: "folder-said", role: "alert" });
  const told = allowed.length === 1 ? `${allowed[0]}, or a folder in it.` : `One of ${allowed.join(", ")}, or a folder in it.`;
  const field = el("input", {
    id: "folder-path", name: "path", required: true, maxLength: 4096, spellcheck: false, autocapitalize: "off",
    value: allowed.length === 1 ? allowed[0] : "", "aria-describedby": "folder-told folder-said",
  });
  field.setAttribute("list", "folder-paths"); // the property cannot be set
  const button = el("button", { className: "strong" }, "Add");
  const form = el(
    "form",
    { className: "folder-form", autocomplete: "off", on: { submit: async (event) => {
      event.preventDefault();
      said.textContent = "";
      button.disabled = true;
      try {
        await start([field.value.trim()]);
        field.value = allowed.length === 1 ? allowed[0] : "";
      } catch (error) {
        said.textContent = error.message.replace(/^roots: (.)/i, (_, first) => first.toUpperCase());
        field.focus();
      } finally {
        button.disabled = false;
      }
    } } },
    el("label", { htmlFor: "folder-path" }, "Add a folder"),
    el("div", { className: "one-line" }, field, button),
    el("datalist", { id: "folder-paths" }, ...allowed.map((value) => el("option", { value }))),
    el("p", { className: "quiet", id: "folder-told" }, `${told} What is in it is found a moment later; its files stay as they are.`),
    said,
  );
  return form;
}

/** How a folder is added where requests may add none. */
function howTo() {
  const command = (text) => el("code", {}, text);
  return el(
    "p",
    { className: "quiet how" },
    "To add one, run ", command("sterna index FOLDER"), " on the machine of this service (with the same ", command("--library"),
    ", if it has one), or start the service with ", command("sterna serve --allow-roots FOLDER"), ": then folders in that one can be added here. ",
    command("sterna library forget FOLDER"), " takes one out; no file is deleted.",
  );
}

/** Ask whether a folder is to be taken out, and do it. */
function forget(root, { trouble, forgotten }) {
  const dialog = byId("forget");
  const [said, go] = [byId("forget-said"), byId("forget-go")];
  byId("forget-title").textContent = `Forget ${root.name}?`;
  byId("forget-told").textContent =
    `No file is deleted: ${root.photos === 1 ? "its photograph stays" : `its ${many(root.photos, "photograph")} stay`} in ${root.path}. ` +
    "Sterna no longer finds them until the folder is added again.";
  said.textContent = "";
  go.disabled = false;
  const question = {};
  asked = question;
  const stands = () => dialog.open && asked === question;
  go.onclick = async (event) => {
    event.preventDefault(); // it closes when it is done
    said.textContent = "";
    go.disabled = true;
    try {
      // with the path that was read here: the number may be another folder's by now
      await ask(`/api/roots/${root.id}?path=${encodeURIComponent(root.path)}`, { method: "DELETE", once: true });
      if (stands()) dialog.close();
      forgotten(root);
    } catch (error) {
      if (!stands()) {
        trouble(`${root.name}: ${error.message}`);
        return;
      }
      said.textContent = error.message;
      go.disabled = false;
      go.focus();
    }
  };
  dialog.showModal();
  byId("forget-keep").focus(); // what is pressed by mistake does nothing
}
