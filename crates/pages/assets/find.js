// <input data-find="URL">: shows what the server finds while one types. Values of the registry become text, never markup.
export function finder() {
  const field = document.querySelector("[data-find]");
  if (!field) return;
  const list = document.createElement("ul");
  list.className = "found";
  list.id = "found";
  list.role = "listbox";
  list.hidden = true;
  field.closest("form").append(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-controls": "found", "aria-expanded": "false", "aria-autocomplete": "list" })) {
    field.setAttribute(name, value);
  }
  let waiting, running;
  const show = (on) => {
    list.hidden = !on;
    field.setAttribute("aria-expanded", String(on));
    if (!on) field.removeAttribute("aria-activedescendant");
  };
  const ask = async () => {
    running?.abort();
    const text = field.value.trim();
    if (text.length < 2) return show(false);
    running = new AbortController();
    try {
      const answer = await fetch(`${field.dataset.find}?q=${encodeURIComponent(text)}`, { signal: running.signal });
      if (!answer.ok) return show(false);
      const { hits } = await answer.json();
      list.replaceChildren(...(hits.length ? hits.map(item) : [nothing()]));
      show(true);
    } catch (error) {
      if (error.name !== "AbortError") show(false);
    }
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 150);
  });
  field.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll("[role=option]")];
    const at = items.findIndex((item) => item.ariaSelected === "true");
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      show(false);
    } else if (event.key === "Enter" && at >= 0 && !list.hidden) {
      event.preventDefault();
      items[at].firstChild.click();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && items.length && !list.hidden) {
      event.preventDefault();
      const next = (at + (event.key === "ArrowDown" ? 1 : at < 0 ? 0 : -1) + items.length) % items.length;
      items.forEach((item, index) => (item.ariaSelected = String(index === next)));
      field.setAttribute("aria-activedescendant", items[next].id);
      items[next].scrollIntoView({ block: "nearest" });
    }
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".find")) show(false);
  });
}

function item(hit, index) {
  const row = document.createElement("li");
  row.role = "option";
  row.id = `found-${index}`;
  row.ariaSelected = "false";
  const link = document.createElement("a");
  link.href = hit.href; // a path of the server's own making
  link.tabIndex = -1;
  const name = document.createElement("bdi");
  name.textContent = hit.name;
  const place = document.createElement("small");
  place.textContent = hit.text;
  link.append(name, place);
  row.append(link);
  return row;
}

function nothing() {
  const row = document.createElement("li");
  row.className = "quiet small";
  row.textContent = document.body.dataset.noHits;
  return row;
}
