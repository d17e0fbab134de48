// Paper has nothing to press: all claims are printed; then they are folded again.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll(".group:not([open]), .rest:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
