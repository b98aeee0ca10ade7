// Draws the laws over time and one law's signals, and switches the colours. Marks "drawn" once all of it is on screen.

const data = JSON.parse(document.getElementById("data").textContent);
const row = 64, gap = 34;
const millions = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const brief = (value) => (value >= 1e5 ? millions.format(value) : digits(value));

function frame(host, rows, name) {
  const bottom = 30 + rows * (row + gap);
  const { made, width } = canvas(host, bottom + 30, name);
  const box = { left: 62, right: width - 16 }, x = scale([0, data.end], [box.left, box.right]);
  for (const value of clockTicks(data.end, 10))
    made.append(label(clock(value), x(value), bottom + 12, { class: "tick", "text-anchor": x(value) > box.right - 20 ? "end" : "middle" }));
  host.append(made);
  return { made, x, bottom, ...box };
}

function axes(at, top, most, title, note, said) {
  at.made.append(label(title, at.left, top - 6, { class: "title halo" }), label(note, at.right, top - 6, { class: "label halo", "text-anchor": "end" }));
  for (const value of [0, most]) at.made.append(label(said(value), at.left - 8, top + row - (value ? row : 0) + 4, { class: "tick", "text-anchor": "end" }));
  at.made.append(svg("path", { class: "axis", d: `M${at.left} ${top + row}H${at.right}` }));
}

function stepped(at, times, values, y, ground) {
  let line = "", open = false;
  values.forEach((value, index) => {
    const left = at.x(times[index]).toFixed(1);
    if (value === null) {
      if (open && ground !== null) line += `H${left}V${ground}Z`;
      return void (open = false);
    }
    const up = y(value).toFixed(1);
    if (open) line += `H${left}V${up}`;
    else line += ground === null ? `M${left} ${up}` : `M${left} ${ground}V${up}`;
    open = true;
  });
  return open ? `${line}H${at.right}${ground === null ? "" : `V${ground}Z`}` : line;
}

function spanTimes(count) {
  return Array.from({ length: count }, (_, at) => at * data.spans.width);
}

function offered(at, top) {
  const most = Math.max(1, ...data.spans.offered), y = scale([0, most], [top + row, top]);
  axes(at, top, most, "offered, requests/s", `most ${digits(most)}`, digits);
  at.made.append(svg("path", { class: "offered", "data-series": "offered", d: stepped(at, spanTimes(data.spans.offered.length), data.spans.offered, y, top + row) }));
}

function replicas(at, law, top, most) {
  const y = scale([0, most], [top + row, top]), area = stepped(at, law.seconds, law.ready, y, top + row);
  axes(at, top, most, `${law.name}: replicas`, `most ${Math.max(...law.wanted)}`, digits);
  at.made.append(svg("path", { class: "ready", "data-series": `${law.name} ready`, d: area }));
  at.made.append(svg("path", { class: "wanted", "data-series": `${law.name} wanted`, d: stepped(at, law.seconds, law.wanted, y, null) }));
}

function attainment(at, law, top) {
  const y = scale([0, 1], [top + row, top]), times = spanTimes(law.attainment.length);
  const known = law.attainment.filter((value) => value !== null);
  axes(at, top, 1, `${law.name}: within the SLO`, `least ${share(Math.min(1, ...known))}`, share);
  at.made.append(svg("path", { class: "lost", d: stepped(at, times, law.attainment.map((value) => (value === null ? null : 1)), y, top + row) }));
  at.made.append(svg("path", { class: "ground", d: stepped(at, times, law.attainment, y, top + row) }));
  at.made.append(svg("path", { class: "held", "data-series": `${law.name} attainment`, d: stepped(at, times, law.attainment, y, top + row) }));
}

function laws(host) {
  const at = frame(host, 1 + 2 * data.laws.length, "Offered load, replicas and attainment by law");
  const most = Math.max(1, ...data.laws.flatMap((law) => [...law.wanted, ...law.ready]));
  let top = 30;
  offered(at, top);
  for (const law of data.laws) {
    replicas(at, law, (top += row + gap), most);
    attainment(at, law, (top += row + gap));
  }
  explore(host, at.made, lawPoints(at), { along: [24, at.bottom - gap] });
}

function lawPoints(at) {
  return spanTimes(data.spans.offered.length).map((begin, bin) => {
    const middle = Math.min(data.end, begin + data.spans.width / 2);
    return { x: at.x(middle), y: 40, title: clock(middle), lines: () => lawLines(bin, middle) };
  });
}

function lawLines(bin, middle) {
  const lines = [["offered", `${digits(data.spans.offered[bin])}/s`]];
  for (const law of data.laws) {
    const step = Math.max(0, law.seconds.findLastIndex((seconds) => seconds <= middle));
    lines.push([law.name, `${law.ready[step]} of ${law.wanted[step]}, ${share(law.attainment[bin])}`]);
  }
  return lines;
}

let chosen = 0;

function signals(host) {
  const those = data.laws.filter((law) => Object.keys(law.signals).length);
  if (!those.length) return host.append(html("p", { class: "empty" }, "No law here reads a signal."));
  const law = those[Math.min(chosen, those.length - 1)];
  const choice = html("select", { "data-choice": "law", "aria-label": "Law" }, ...those.map((one) => html("option", one === law ? { selected: "" } : {}, one.name)));
  choice.addEventListener("change", () => ((chosen = choice.selectedIndex), redraw(host)));
  host.append(html("div", { class: "controls" }, html("label", {}, "Law ", choice)));
  const series = Object.entries(law.signals), at = frame(host, series.length, `Signals of ${law.name}`);
  series.forEach(([name, values], index) => {
    const top = 30 + index * (row + gap), there = values.filter((value) => value !== null);
    const most = Math.max(1e-9, ...there), y = scale([0, most], [top + row, top]);
    axes(at, top, most, name, `most ${digits(there.length ? most : null)}`, brief);
    at.made.append(svg("path", { class: "area", d: stepped(at, law.seconds, values, y, top + row) }));
    at.made.append(svg("path", { class: "series", "data-series": name, d: stepped(at, law.seconds, values, y, null) }));
  });
  explore(host, at.made, signalPoints(at, law), { along: [24, at.bottom - gap] });
}

function signalPoints(at, law) {
  return law.seconds.map((seconds, step) => ({
    x: at.x(seconds), y: 40, title: clock(seconds),
    lines: () => [...Object.entries(law.signals).map(([name, values]) => [name, digits(values[step])]), ["wanted", String(law.wanted[step])], ["because of", law.why[step] || "–"]],
  }));
}

const charts = { laws, signals };

function redraw(host) {
  const key = host.contains(document.activeElement) && document.activeElement.dataset.choice;
  host.replaceChildren();
  charts[host.dataset.chart](host);
  if (key) host.querySelector(`[data-choice="${key}"]`).focus();
}

const redrawAll = () => document.querySelectorAll("[data-chart]").forEach(redraw);
const themes = ["auto", "light", "dark"], button = document.getElementById("theme");

button.addEventListener("click", () => {
  const root = document.documentElement, next = themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % themes.length];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  button.textContent = `Colours: ${next}`;
});

let drawnWidth = window.innerWidth, pending = 0;
window.addEventListener("resize", () => {
  clearTimeout(pending);
  pending = setTimeout(() => {
    if (window.innerWidth !== drawnWidth) redrawAll();
    drawnWidth = window.innerWidth;
  }, 150);
});

redrawAll();
requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("drawn")));
