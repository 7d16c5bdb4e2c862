"use strict";
// The form of the index page: plan faults, list them, heal them.
(() => {
  const form = document.getElementById("fault-form");
  if (!form) return;
  const list = document.getElementById("planned");

  function show(faults) {
    const lines = faults.map((fault) => `${fault.vendor} · ${fault.kind} × ${fault.times} ${fault.operation}`);
    list.replaceChildren(...(lines.length ? lines : [list.dataset.none]).map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  }

  async function refresh() {
    const answer = await fetch("/control/faults");
    show((await answer.json()).faults);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    values.times = Number(values.times);
    await fetch("/control/faults", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values),
    });
    await refresh();
  });
  document.getElementById("heal").addEventListener("click", async () => {
    await fetch("/control/faults", { method: "DELETE" });
    await refresh();
  });
  refresh();
})();
