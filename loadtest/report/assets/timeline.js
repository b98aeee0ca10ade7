// Outcomes by arrival above the servers' series, on one clock; the cross line reads all of them at once.

const seriesNames = {
  client_in_flight: "in flight, as the client sees it",
  replicas: "replicas",
  running: "running at the engines",
  waiting: "waiting at the engines",
  kv_usage: "KV cache in use",
  kv_usage_max: "KV cache in use, the fullest engine",
  front_in_flight: "in flight at the front",
};

function timeline(host, data) {
  const time = data.timeline, order = ["replicas", "waiting", "running", "kv_usage", "kv_usage_max"];
  if (!time.probes.length) return empty(host, "No probe was run.");
  const place = (name) => (order.includes(name) ? order.indexOf(name) : 9);
  const series = [...time.series].sort((a, b) => place(a.name) - place(b.name));
  const strip = 92, row = 50, gap = 32, top = 30;
  const bottom = top + 26 + time.outcomes.length * (strip + gap) + series.length * (row + gap) - gap;
  host.append(timelineLegend(data));
  const { made, width } = canvas(host, bottom + 46, "Outcomes over time above the servers' series");
  const inner = { left: 62, right: width - 16, top, bottom };
  const x = scale([0, time.end], [inner.left, inner.right]);
  timelineProbes(made, data, inner, x);
  let at = top + 26;
  time.outcomes.forEach((counts, target) => {
    const name = `outcomes by arrival${time.outcomes.length > 1 ? `, ${data.targets[target]}` : ""}`;
    timelineStrip(made, data, counts, { ...inner, name, top: at, bottom: at + strip, x });
    at += strip + gap;
  });
  for (const one of series) {
    timelineSeries(made, one, { top: at, bottom: at + row, left: inner.left, right: inner.right, x });
    at += row + gap;
  }
  for (const value of clockTicks(time.end, 10)) made.append(label(clock(value), x(value), bottom + 20, { class: "tick", "text-anchor": x(value) > inner.right - 20 ? "end" : "middle", "data-axis": "x", "data-value": value }));
  made.append(label("since the first probe began", inner.right, bottom + 40, { class: "label", "text-anchor": "end" }));
  host.append(made);
  explore(host, made, timelinePoints(data, series, x, inner), { along: [inner.top, bottom] });
}

function timelineLegend(data) {
  const sums = data.outcomes.slice(0, 7).map((_, code) => data.timeline.outcomes.some((counts) => counts[code].some(Boolean)));
  const bar = html("div", { class: "controls" }), legend = html("div", { class: "legend" });
  const square = (name) => svg("svg", { width: 11, height: 11, "aria-hidden": "true" }, svg("rect", { class: `fill ${name}`, width: 11, height: 11, rx: 2 }));
  data.outcomes.slice(0, 7).forEach((name, code) => sums[code] && legend.append(html("span", { class: "key" }, square(name), spoken(name))));
  bar.append(legend);
  return bar;
}

function timelineProbes(made, data, inner, x) {
  let free = -Infinity;
  for (const probe of data.timeline.probes) {
    const left = x(probe.at), right = x(probe.until), found = data.probes.find((entry) => entry.number === probe.number && entry.target === probe.target);
    made.append(svg("rect", { class: `probe t${probe.target}`, x: left.toFixed(1), y: inner.top, width: Math.max(1, right - left - 2).toFixed(1), height: inner.bottom - inner.top }));
    const said = `${digits(found.rate)}/s`, size = said.length * 7 + 6;
    if (left < free || left + size > inner.right + 14) continue;
    made.append(label(said, left + 1, inner.top - 8, { class: "label" }));
    free = left + size;
  }
  made.append(label("offered", inner.left - 8, inner.top - 8, { class: "tick", "text-anchor": "end" }));
}

function timelineStrip(made, data, counts, box) {
  const y = scale([0, 1], [box.bottom, box.top]), width = data.timeline.width;
  made.append(label(box.name, box.left, box.top - 6, { class: "title halo" }));
  const parts = counts.map(() => []);
  const size = Math.max(0.8, box.x(width) - box.x(0) + 0.5).toFixed(2);
  for (let bin = 0; bin < counts[0].length; bin++) {
    const total = counts.reduce((sum, list) => sum + list[bin], 0);
    let under = 0;
    for (let code = 0; total && code < counts.length; code++) {
      const count = counts[code][bin];
      if (count) parts[code].push(`M${box.x(bin * width).toFixed(1)} ${y(under / total).toFixed(1)}h${size}V${y((under + count) / total).toFixed(1)}h-${size}z`);
      under += count;
    }
  }
  parts.forEach((list, code) => list.length && made.append(svg("path", { class: `fill ${data.outcomes[code]}`, "shape-rendering": "crispEdges", d: list.join("") })));
  for (const value of [0, 0.5, 1]) made.append(label(share(value), box.left - 8, y(value) + 4, { class: "tick", "text-anchor": "end" }));
  made.append(svg("path", { class: "axis", d: `M${box.left} ${box.bottom}H${box.right}` }));
  made.append(svg("path", { class: "limit", opacity: 0.6, "stroke-dasharray": "5 4", d: `M${box.left} ${y(data.quantile).toFixed(1)}H${box.right}` }));
}

function timelineSeries(made, one, box) {
  const shares = one.name.startsWith("kv_usage"), there = one.values.filter((value) => value !== null);
  const most = shares ? 1 : Math.max(1, ...there), y = scale([0, most * 1.05], [box.bottom, box.top]);
  const stepped = one.name === "replicas", said = (value) => (shares ? share(value) : digits(value));
  made.append(label(seriesNames[one.name] || one.name, box.left, box.top - 6, { class: "title halo" }));
  made.append(label(`most ${said(Math.max(0, ...there))}`, box.right, box.top - 6, { class: "label halo", "text-anchor": "end" }));
  let line = "", area = "", begun = null;
  one.values.forEach((value, at) => {
    const left = box.x(one.times[at]).toFixed(1);
    if (value === null) return void (begun = null);
    const up = y(value).toFixed(1);
    if (begun === null) [line, area, begun] = [`${line}M${left} ${up}`, `${area}M${left} ${box.bottom}V${up}`, left];
    else [line, area] = [`${line}${stepped ? `H${left}V${up}` : `L${left} ${up}`}`, `${area}${stepped ? `H${left}V${up}` : `L${left} ${up}`}`];
    if (at + 1 === one.values.length || one.values[at + 1] === null) area += `V${box.bottom}Z`;
  });
  made.append(svg("path", { class: "area", d: area }), svg("path", { class: "series", "data-series": one.name, d: line }));
  for (const value of [0, most]) made.append(label(said(value), box.left - 8, y(value) + 4, { class: "tick", "text-anchor": "end" }));
  made.append(svg("path", { class: "axis", d: `M${box.left} ${box.bottom}H${box.right}` }));
}

function timelinePoints(data, series, x, inner) {
  const time = data.timeline, points = [];
  for (let bin = 0; bin < Math.ceil(time.end / time.width); bin++) {
    const at = Math.min(time.end, (bin + 0.5) * time.width);
    points.push({ x: x(at), y: inner.top + 40, title: clock(at), lines: () => timelineLines(data, series, bin, at) });
  }
  return points;
}

function timelineLines(data, series, bin, at) {
  const time = data.timeline, lines = [];
  time.outcomes.forEach((counts, target) => {
    const total = counts.reduce((sum, list) => sum + (list[bin] || 0), 0), who = time.outcomes.length > 1 ? ` ${data.targets[target]}` : "";
    if (!total) return;
    lines.push([`attainment${who}`, `${share(counts[0][bin] / total)} of ${total}`]);
    counts.forEach((list, code) => code && list[bin] && lines.push([`${spoken(data.outcomes[code])}${who}`, String(list[bin])]));
  });
  for (const one of series) {
    const value = one.values[closest(one.times, at)];
    if (value !== null && value !== undefined) lines.push([seriesNames[one.name] || one.name, one.name.startsWith("kv_usage") ? share(value) : digits(value)]);
  }
  const probe = time.probes.find((entry) => at >= entry.at && at < entry.until);
  return probe ? [["probe", String(probe.number)], ...lines] : lines;
}

function closest(times, at) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - times[low - 1] < times[low] - at ? low - 1 : low;
}
