// <button data-copy="text">: copies the text, and says so for two seconds.
export function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await write(button.dataset.copy);
    } catch {
      return; // nothing was copied, so nothing is said
    }
    const label = button.getAttribute("aria-label");
    const use = button.querySelector("use");
    use.setAttribute("href", "#i-check");
    button.classList.add("done");
    button.setAttribute("aria-label", document.body.dataset.copied);
    setTimeout(() => {
      use.setAttribute("href", "#i-copy");
      button.classList.remove("done");
      button.setAttribute("aria-label", label);
    }, 2000);
  });
}

// Without TLS browsers have no navigator.clipboard.
async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}
