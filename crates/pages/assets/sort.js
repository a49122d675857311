// <table data-sortable>: columns that the server does not sort become buttons, if all rows are there (no data-partial).
export function sorting() {
  for (const table of document.querySelectorAll("table[data-sortable]:not([data-partial])")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      if (head.tagName !== "TH" || head.querySelector("a") || "nosort" in head.dataset) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.ariaSort ? head.ariaSort === "ascending" : head.classList.contains("num");
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.ariaSort = down ? "descending" : "ascending";
        const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[index]), row]);
        rows.sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true })));
        if (down) rows.reverse();
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }
}

// What a cell is sorted by: a machine-readable value before its text. Unknown numbers come last when the largest come first.
function key(cell) {
  const data = cell.querySelector("data")?.value ?? cell.querySelector("time")?.dateTime;
  const text = data ?? cell.textContent.trim();
  const number = Number(data ?? text.replace(/[^\d.-]/g, ""));
  if (cell.classList.contains("num")) return text === "" || Number.isNaN(number) ? -1 : number;
  return text;
}
