// <form data-filter="#list">: hides what does not contain the text of its search field, as it is typed. The list holds elements with
// data-text. Sending the form asks the server, which also knows the pages that are not shown. [data-submit] sends its form when changed.
export function filters() {
  for (const box of document.querySelectorAll("[data-submit]")) {
    box.addEventListener("change", () => box.form.requestSubmit());
  }
  for (const form of document.querySelectorAll("form[data-filter]")) {
    const field = form.querySelector("input[type=search]");
    const lists = document.querySelectorAll(form.dataset.filter);
    if (!field || !lists.length) continue;
    // What the server has filtered by a pattern is not filtered by its letters again.
    const asked = field.value;
    field.addEventListener("input", () => {
      const wanted = field.value === asked ? "" : field.value.trim().toLowerCase();
      for (const list of lists) {
        for (const item of list.querySelectorAll("[data-text]")) {
          item.hidden = !item.dataset.text.toLowerCase().includes(wanted);
        }
        for (const group of [...list.querySelectorAll("details")].reverse()) {
          group.parentElement.hidden = !group.querySelector("[data-text]:not([hidden])");
        }
        if (list.matches(".card")) list.hidden = !list.querySelector("[data-text]:not([hidden])");
      }
    });
  }
}
