// Keys: "/" searches, "g" and a letter goes somewhere, "j" and "k" go through a list, "x" selects, "?" shows all of them.
const places = { r: "/", t: "/trash", d: "/disk", c: "/collection", a: "/activity", h: "/connect" };

export function keys() {
  const root = document.body.dataset.root;
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key;
    const go = before === "g" && places[key];
    before = key;
    if (go) location.assign(root + go);
    else if (key === "/") focus(document.querySelector("#find"), event);
    else if (key === "f") focus(document.querySelector("[data-filter] input[type=search]"), event);
    else if (key === "?") location.assign(`${root}/keys`);
    else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
    else if (key === "x") event.target.closest("tr")?.querySelector("input[type=checkbox]")?.click();
  });
}

function focus(field, event) {
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

function step(by) {
  const links = [...document.querySelectorAll("main :is(tbody .name, .leaf) > a")].filter((link) => link.offsetParent);
  const at = links.indexOf(document.activeElement.closest?.("a"));
  links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
}
