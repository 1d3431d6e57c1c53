// Keeps a region marked data-live="MILLISECONDS" fresh: the same page is fetched again and the region replaced.
// Without this script the page is complete, only not renewed by itself. It pauses on demand, while the page is
// hidden, and while the focus is inside.
"use strict";

const region = document.querySelector("[data-live]");
const button = document.querySelector("[data-pause]");
let paused = false;

async function renew() {
  if (paused || document.hidden || region.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { redirect: "error" }).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
  if (fresh && fresh.innerHTML !== region.innerHTML) region.replaceChildren(...fresh.childNodes);
}

if (region) {
  setInterval(renew, Number(region.dataset.live));
}
if (region && button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
  });
}
