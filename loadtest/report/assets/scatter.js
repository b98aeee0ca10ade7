// TTFT against TPOT on log axes with the SLO's box; who has no TPOT lies in the gutter below, who got no token at the right.

const scatterChoice = { probe: "all", slo: "all", hidden: new Set() };

function scatter(host, data) {
  const plot = data.scatter;
  if (!plot.panels.length) return empty(host, "No request was judged.");
  const chosen = plot.panels.filter(
    (panel) => (scatterChoice.probe === "all" || panel.probe === Number(scatterChoice.probe)) && (scatterChoice.slo === "all" || panel.slo === Number(scatterChoice.slo)),
  );
  const counts = scatterCounts(data, chosen);
  host.append(scatterControls(host, data, counts));
  const { made, width, height } = canvas(host, 520, "TTFT against TPOT of single requests, log axes");
  const untold = chosen.some((panel) => panel.no_tpot), silent = chosen.some((panel) => Object.keys(panel.no_token).length);
  const inner = { left: 74, right: width - (silent ? 132 : 24), top: 14, bottom: height - (untold ? 94 : 52) };
  const x = scale(plot.x, [inner.left, inner.right], Math.log), y = scale(plot.y, [inner.bottom, inner.top], Math.log);
  scatterAxes(made, plot, inner, { x, y });
  scatterCells(made, plot, chosen, inner);
  if (untold) made.append(svg("rect", { class: "gutter", x: inner.left, y: inner.bottom + 6, width: inner.right - inner.left, height: 26 }), label("no TPOT", inner.left - 8, inner.bottom + 23, { class: "tick", "text-anchor": "end" }));
  if (silent) made.append(...scatterSilent(data, chosen, inner));
  const points = scatterPoints(data, chosen, inner, { x, y });
  for (const outcome of data.outcomes) {
    const own = points.filter((point) => point.outcome === outcome);
    if (own.length && !scatterChoice.hidden.has(outcome)) made.append(svg("path", { class: `dots ${outcome}`, d: own.map((point) => shapeOf(outcome, point.x, point.y)).join("") }));
  }
  scatterBoxes(made, plot, inner, { x, y });
  host.append(made);
  const visible = points.filter((point) => !scatterChoice.hidden.has(point.outcome)).sort((a, b) => a.x - b.x);
  explore(host, made, visible, { reach: 24 });
}

function scatterCounts(data, chosen) {
  const shown = {};
  for (const panel of chosen) for (const code of panel.points.outcome) shown[data.outcomes[code]] = (shown[data.outcomes[code]] || 0) + 1;
  return { shown, drawn: chosen.reduce((sum, panel) => sum + panel.points.ttft.length, 0), all: chosen.reduce((sum, panel) => sum + panel.total + panel.no_tpot, 0) };
}

function scatterControls(host, data, counts) {
  const again = () => redraw(host);
  const probes = [...new Set(data.scatter.panels.map((panel) => panel.probe))];
  const named = (at) => `${data.targets.length > 1 ? `${data.targets[data.probes[at].target]}, ` : ""}${digits(data.probes[at].rate)} req/s (probe ${data.probes[at].number})`;
  const order = probes.sort((a, b) => data.probes[a].target - data.probes[b].target || data.probes[a].rate - data.probes[b].rate);
  const bar = html("div", { class: "controls" });
  bar.append(chooser("Probe", "probe", [["all", "all"], ...order.map((at) => [String(at), named(at)])], again));
  const slos = data.scatter.slos;
  if (slos.length > 1) bar.append(chooser("Class", "slo", [["all", "all"], ...slos.map((slo, at) => [String(at), slo.name])], again));
  bar.append(html("span", {}, counts.drawn < counts.all ? `${counts.drawn.toLocaleString("en")} of ${counts.all.toLocaleString("en")} requests drawn` : `${counts.all.toLocaleString("en")} requests`));
  const legend = html("div", { class: "legend" });
  for (const outcome of data.outcomes.filter((name) => counts.shown[name])) {
    const button = html("button", { type: "button", "aria-pressed": String(!scatterChoice.hidden.has(outcome)), title: "Show or hide" }, swatch(outcome), spoken(outcome));
    button.addEventListener("click", () => {
      if (!scatterChoice.hidden.delete(outcome)) scatterChoice.hidden.add(outcome);
      again();
    });
    legend.append(button);
  }
  bar.append(legend);
  return bar;
}

function chooser(name, key, options, again) {
  const select = html("select", { "data-choice": key }, ...options.map(([value, text]) => html("option", { value }, text)));
  select.value = scatterChoice[key];
  select.addEventListener("change", () => {
    scatterChoice[key] = select.value;
    again();
  });
  return html("label", {}, name, select);
}

function scatterAxes(made, plot, inner, { x, y }) {
  for (const value of logTicks(...plot.x)) {
    made.append(svg("path", { class: "grid", d: `M${x(value).toFixed(1)} ${inner.top}V${inner.bottom}` }));
    made.append(label(seconds(value), x(value), inner.bottom + (inner.bottom < 430 ? 50 : 18), { class: "tick", "text-anchor": "middle", "data-axis": "x", "data-value": value }));
  }
  for (const value of logTicks(...plot.y)) {
    made.append(svg("path", { class: "grid", d: `M${inner.left} ${y(value).toFixed(1)}H${inner.right}` }));
    made.append(label(seconds(value), inner.left - 8, y(value) + 4, { class: "tick", "text-anchor": "end", "data-axis": "y", "data-value": value }));
  }
  made.append(label("TTFT from the scheduled arrival (log)", (inner.left + inner.right) / 2, inner.bottom + (inner.bottom < 430 ? 76 : 42), { class: "label", "text-anchor": "middle" }));
  const middle = (inner.top + inner.bottom) / 2;
  made.append(label("TPOT (log)", 14, middle, { class: "label", "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }));
}

function scatterCells(made, plot, chosen, inner) {
  const sums = new Map();
  for (const panel of chosen) panel.cells.forEach((cell, at) => sums.set(cell, (sums.get(cell) || 0) + panel.counts[at]));
  const most = Math.max(1, ...sums.values()), wide = (inner.right - inner.left) / plot.columns, high = (inner.bottom - inner.top) / plot.lines;
  const levels = Array.from({ length: 8 }, () => []);
  for (const [cell, count] of sums) {
    const level = Math.min(7, Math.floor((Math.log1p(count) / Math.log1p(most)) * 8));
    const left = inner.left + (cell % plot.columns) * wide, top = inner.bottom - (Math.floor(cell / plot.columns) + 1) * high;
    levels[level].push(`M${left.toFixed(1)} ${top.toFixed(1)}h${wide.toFixed(2)}v${high.toFixed(2)}h-${wide.toFixed(2)}z`);
  }
  levels.forEach((parts, level) => parts.length && made.append(svg("path", { class: "cell", d: parts.join(""), opacity: 0.03 + level * 0.045 })));
}

function scatterSilent(data, chosen, inner) {
  const sums = {};
  for (const panel of chosen) for (const [name, count] of Object.entries(panel.no_token)) sums[name] = (sums[name] || 0) + count;
  const total = Object.values(sums).reduce((sum, count) => sum + count, 0), left = inner.right + 20, height = inner.bottom - inner.top - 34;
  const made = [label("no token", left, inner.top + 10, { class: "title" }), label(`${total.toLocaleString("en")} requests`, left, inner.top + 26, { class: "label" })];
  let top = inner.top + 34, under = top;
  for (const [name, count] of Object.entries(sums)) {
    const size = (count / total) * height;
    made.push(svg("rect", { class: `fill ${name}`, x: left, y: top.toFixed(1), width: 14, height: Math.max(1, size - 1).toFixed(1) }));
    under = Math.max(under, top + Math.min(size / 2, 20));
    made.push(label(spoken(name), left + 20, under + 4, { class: "label" }), label(count.toLocaleString("en"), left + 20, under + 18, {}));
    under += 32;
    top += size;
  }
  return made;
}

function scatterPoints(data, chosen, inner, { x, y }) {
  const within = (value, low, high) => Math.min(high, Math.max(low, value)), found = [];
  for (const panel of chosen) {
    const { ttft, tpot, outcome } = panel.points, probe = data.probes[panel.probe], slo = data.scatter.slos[panel.slo];
    for (let at = 0; at < ttft.length; at++) {
      const name = data.outcomes[outcome[at]], jitter = 19 + ((at * 7) % 15) - 7;
      found.push({
        x: within(x(Math.max(ttft[at], 0.001) / 1000), inner.left, inner.right),
        y: tpot[at] === null ? inner.bottom + jitter : within(y(Math.max(tpot[at], 0.001) / 1000), inner.top, inner.bottom),
        outcome: name,
        title: spoken(name),
        lines: () => [["TTFT", seconds(ttft[at] / 1000)], ["TPOT", tpot[at] === null ? "none" : seconds(tpot[at] / 1000)], ["class", slo.name], ["offered", `${digits(probe.rate)} req/s`], ["probe", String(probe.number)]],
      });
    }
  }
  return found;
}

function scatterBoxes(made, plot, inner, { x, y }) {
  const seen = new Map();
  plot.slos.forEach((slo, at) => {
    if (scatterChoice.slo !== "all" && at !== Number(scatterChoice.slo)) return;
    if (!slo.ttft && !slo.tpot) return;
    const key = `${slo.ttft} ${slo.tpot}`;
    seen.set(key, { slo, names: [...((seen.get(key) || {}).names || []), slo.name] });
  });
  const lines = new Map();
  for (const { slo, names } of seen.values()) {
    const line = lines.get(slo.tpot) || 0;
    lines.set(slo.tpot, line + 1);
    const right = slo.ttft ? x(slo.ttft) : inner.right, top = slo.tpot ? y(slo.tpot) : inner.top;
    made.append(svg("rect", { class: "slo", x: inner.left, y: top, width: right - inner.left, height: inner.bottom - top, "data-ttft": slo.ttft || "", "data-tpot": slo.tpot || "" }));
    const said = `${[...new Set(names)].join(", ")}: ${[slo.ttft, slo.tpot].filter(Boolean).map(seconds).join(" / ")}`;
    made.append(label(said, right - 8, top + 17 + 17 * line, { class: "title halo", "text-anchor": "end" }));
  }
}
