// Marks a box whose table is wider than it (`scrolls`), and while there is more on the right (`more`).
for (const box of document.querySelectorAll(".scroll")) {
  const look = () => {
    const rest = box.scrollWidth - box.clientWidth;
    box.classList.toggle("scrolls", rest > 1);
    box.classList.toggle("more", rest - box.scrollLeft > 1);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
}
// On a phone the pages' names are one line that scrolls: show the one that is open.
const here = document.querySelector("nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;
// A link to something inside a folded part opens it.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
