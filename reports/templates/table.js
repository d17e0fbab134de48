// Sorting: each head becomes a button. First press the best rows first, then the worst, then as in the paper.
const say = text => { document.getElementById("said").textContent = text; };
const read = cell => {
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = Number(text.replace(/,/g, ""));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
};
const compare = (a, b, sign) => {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const bodies = [...table.tBodies].map(body => [body, [...body.querySelectorAll("tr.row")]]);
  for (const [place, head] of heads.entries()) {
    const name = head.firstChild.textContent, better = head.dataset.better;
    const button = document.createElement("button");
    button.type = "button";
    button.append(head.firstChild);
    head.prepend(button);
    const orders = better === "higher is better" ? ["descending", "ascending", null] : ["ascending", "descending", null];
    button.addEventListener("click", () => {
      const order = orders[(orders.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      for (const one of heads) one.removeAttribute("aria-sort");
      if (order) head.setAttribute("aria-sort", order);
      const sign = order === "descending" ? -1 : 1;
      for (const [body, rows] of bodies) {
        const sorted = order ? [...rows].sort((a, b) => compare(read(a.cells[place]), read(b.cells[place]), sign)) : rows;
        const end = rows.length ? body.querySelector("tr.real") : null;
        for (const row of sorted) body.insertBefore(row, end);
      }
      const best = better ? (order === orders[0] ? ", best first" : ", worst first") : "";
      say(order ? "Sorted by " + name + ", " + order + best + "." : "Sorted as in the paper.");
    });
  }
}
// The switch shows one view at a time; without this script all are there, one beneath the other.
const views = [...document.querySelectorAll("section.view")];
const show = name => { for (const one of views) one.hidden = one.dataset.view !== name; };
for (const choice of document.querySelectorAll("input[name=view]")) {
  choice.addEventListener("change", () => { show(choice.value); say("The table shows " + choice.value + "."); });
}
if (views.length > 1) show(views[0].dataset.view);
addEventListener("hashchange", () => {
  const view = document.getElementById(location.hash.slice(1))?.closest("section.view");
  const choice = view && document.querySelector("input[name=view][value=" + view.dataset.view + "]");
  if (choice) { choice.checked = true; show(choice.value); view.scrollIntoView(); }
});
// Copying takes the text that is in the page. Where there is no clipboard the text is selected and copied as by keyboard.
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies), name = button.textContent.replace("Copy ", "");
    try {
      await navigator.clipboard.writeText(source.textContent);
      say(name + " copied.");
    } catch {
      const give = event => { event.clipboardData.setData("text/plain", source.textContent); event.preventDefault(); };
      source.closest("details").open = true;
      getSelection().selectAllChildren(source);
      document.addEventListener("copy", give, { once: true });
      say(document.execCommand("copy") ? name + " copied." : name + " is selected: copy it with the keyboard.");
    }
  });
}
for (const one of document.querySelectorAll(".tools")) one.hidden = false;
