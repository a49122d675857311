// <section data-poll="URL">: asks every second how far the work is, while the page is seen. The server sends texts that are ready to show:
// {"running": true, "done": 3, "of": 9, "fields": {"freed": "12 MiB"}}. When the work has ended the page is loaded anew.
export function progress() {
  const section = document.querySelector("[data-poll]:not([hidden])");
  if (!section) return;
  let pause = 1000;
  const ask = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(section.dataset.poll, { cache: "no-store" });
        if (answer.status === 401 || answer.status === 403) return location.reload();
        const state = await answer.json();
        if (!state.running) return location.reload();
        show(section, state);
        pause = 1000;
      } catch {
        pause = Math.min(pause * 2, 30000); // the server is away for a moment
      }
    }
    setTimeout(ask, pause);
  };
  setTimeout(ask, pause);
}

function show(section, state) {
  const bar = section.querySelector("progress");
  if (state.of) {
    bar.max = state.of;
    bar.value = state.done;
  } else bar.removeAttribute("value");
  for (const [name, text] of Object.entries(state.fields)) {
    const field = section.querySelector(`[data-field="${name}"]`);
    if (field) field.textContent = text;
  }
}
