// <form data-preferences>: the theme changes at once; the server is told, so that the next page has it from its first byte.
export function preferences() {
  for (const form of document.querySelectorAll("[data-preferences]")) {
    form.addEventListener("submit", (event) => {
      const button = event.submitter;
      if (button?.name !== "theme") return;
      event.preventDefault();
      const root = document.documentElement;
      if (button.value === "auto") delete root.dataset.theme;
      else root.dataset.theme = button.value;
      for (const other of form.querySelectorAll("[name=theme]")) other.ariaPressed = String(other === button);
      fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, button)), redirect: "manual" });
    });
  }
}
