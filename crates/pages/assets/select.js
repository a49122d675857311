// <form data-select>: counts what is selected, selects all that is shown, and a range with the shift key.
export function selection() {
  for (const form of document.querySelectorAll("[data-select]")) {
    const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]")].filter((box) => !box.closest("tr").hidden);
    const all = form.querySelector("[data-all]");
    const text = form.querySelector("[data-selected]");
    const button = form.querySelector(".select-bar button");
    if (!button) continue;
    let last;
    const count = () => {
      const chosen = form.querySelectorAll("tbody input:checked").length;
      if (text) text.textContent = chosen ? `${chosen} / ${boxes().length}` : text.dataset.selected;
      button.disabled = !chosen;
      if (all) {
        all.checked = chosen > 0 && chosen === boxes().length;
        all.indeterminate = chosen > 0 && !all.checked;
      }
    };
    form.addEventListener("click", (event) => {
      const box = event.target;
      if (box === all) boxes().forEach((other) => (other.checked = all.checked));
      else if (box.matches?.("tbody input[type=checkbox]")) {
        const shown = boxes();
        if (event.shiftKey && last) {
          const [from, to] = [shown.indexOf(last), shown.indexOf(box)].sort((a, b) => a - b);
          if (from >= 0) shown.slice(from, to + 1).forEach((other) => (other.checked = box.checked));
        }
        last = box;
      } else return;
      count();
    });
    addEventListener("pageshow", count); // "back" brings the selection again
    count();
  }
}
