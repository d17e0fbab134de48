// On a phone only the first group of claims is unfolded.
if (matchMedia("(max-width: 40rem)").matches) {
  [...document.querySelectorAll(".group")].slice(1).forEach(group => { group.open = false; });
}
