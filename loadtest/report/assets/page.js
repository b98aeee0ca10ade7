// Draws every chart, again when the width changes, and switches the colours. Marks "drawn" once all of it is on screen.

const data = JSON.parse(document.getElementById("data").textContent);
const charts = { curve, floor, scatter, timeline, waterfall };

function empty(host, said) {
  host.append(html("p", { class: "empty" }, said));
}

function redraw(host) {
  const active = document.activeElement, key = host.contains(active) && active.dataset.choice;
  host.replaceChildren();
  charts[host.dataset.chart](host, data);
  if (key) host.querySelector(`[data-choice="${key}"]`).focus();
}

function redrawAll() {
  document.querySelectorAll("[data-chart]").forEach(redraw);
}

const themes = ["auto", "light", "dark"];
const button = document.getElementById("theme");

function colour(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = `Colours: ${theme}`;
}

button.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || "auto";
  colour(themes[(themes.indexOf(now) + 1) % themes.length]);
});

let drawnWidth = window.innerWidth, waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (window.innerWidth === drawnWidth) return;
    drawnWidth = window.innerWidth;
    redrawAll();
  }, 150);
});

redrawAll();
requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("drawn")));
