// The steps of the worst requests, a line each, from the scheduled arrival to the end.

const steps = [
  ["sent", "waited to be sent"],
  ["first", "sent, no token yet"],
  ["last", "tokens"],
  ["ended", "until the end"],
];

function waterfall(host, data) {
  const rows = data.waterfall;
  if (!rows.length) return empty(host, "No request was judged.");
  host.append(waterfallLegend());
  const line = 25, top = 30, left = 250;
  const { made, width } = canvas(host, top + rows.length * line + 46, "Steps of the worst requests");
  const inner = { left, right: width - 132, top, bottom: top + rows.length * line };
  const most = Math.max(0.001, ...rows.map((row) => row.ended || 0));
  const x = scale([0, most * 1.02], [inner.left, inner.right]);
  const grounds = rows.map((row, at) => svg("rect", { class: "row", x: 0, y: top + at * line, width, height: line }));
  made.append(...grounds);
  made.append(label("request", 24, top - 12, { class: "tick" }), label("of its limit", inner.right + 12, top - 12, { class: "tick" }));
  for (const value of linearTicks(most * 1.02, 7)) {
    made.append(svg("path", { class: "grid", d: `M${x(value).toFixed(1)} ${top}V${inner.bottom}` }));
    made.append(label(seconds(value), x(value), inner.bottom + 18, { class: "tick", "text-anchor": "middle" }));
  }
  made.append(label("since the scheduled arrival", (inner.left + inner.right) / 2, inner.bottom + 38, { class: "label", "text-anchor": "middle" }));
  const points = rows.map((row, at) => waterfallRow(made, data, row, top + at * line, inner, x));
  host.append(made);
  explore(host, made, points, { rows: true, shown: (on) => grounds.forEach((ground, at) => ground.setAttribute("class", at === on ? "row on" : "row")) });
}

function waterfallLegend() {
  const bar = html("div", { class: "controls" }), legend = html("div", { class: "legend" });
  const square = (name) => svg("svg", { width: 11, height: 11, "aria-hidden": "true" }, svg("rect", { class: name, width: 11, height: 11, rx: 2 }));
  for (const [name, said] of steps) legend.append(html("span", { class: "key" }, square(name), said));
  const tick = svg("svg", { width: 5, height: 12, "aria-hidden": "true" }, svg("path", { class: "limit", d: "M2.5 0v12" }));
  legend.append(html("span", { class: "key" }, tick, "TTFT limit"));
  bar.append(legend);
  return bar;
}

function waterfallRow(made, data, row, top, inner, x) {
  const outcome = data.outcomes[row.outcome], many = data.targets.length > 1;
  made.append(svg("path", { class: `dots ${outcome}`, d: shapeOf(outcome, 12, top + 12.5) }));
  made.append(label(`${row.slo} · session ${row.session}${row.turn ? ` turn ${row.turn}` : ""}`, 24, top + 17, {}));
  made.append(label(many ? `${data.targets[row.target]}`.slice(0, 12) : `${digits(row.rate)} req/s`, inner.left - 12, top + 17, { class: "label", "text-anchor": "end" }));
  let from = 0;
  for (const [name] of steps) {
    const until = name === "first" && row.first === null ? row.ended : row[name];
    if (until === null || until <= from) continue;
    made.append(svg("rect", { class: name, "data-step": name, x: x(from).toFixed(1), y: top + 5, width: Math.max(0.7, x(until) - x(from)).toFixed(1), height: 15, rx: 1 }));
    from = until;
  }
  if (row.ttft_limit) made.append(svg("path", { class: "limit", d: `M${x(row.ttft_limit).toFixed(1)} ${top + 2}v21` }));
  made.append(label(row.beyond === null ? "" : `${digits(row.beyond)}× ${row.limit}`, inner.right + 12, top + 17, {}));
  return { x: Math.min(x(from), inner.right), y: top + 12, title: `${spoken(outcome)}${row.detail ? ` (${row.detail})` : ""}`, lines: () => waterfallLines(data, row) };
}

function waterfallLines(data, row) {
  const lines = [["sent after", seconds(row.sent)], ["first token after", seconds(row.first)], ["last token after", seconds(row.last)], ["ended after", seconds(row.ended)], ["longest stall", seconds(row.stall)]];
  if (row.prompt >= 0) lines.push(["prompt, output", `${row.prompt} + ${row.output} tokens`]);
  lines.push(["probe", `${row.probe} at ${digits(row.rate)} req/s`]);
  if (data.targets.length > 1) lines.push(["target", data.targets[row.target]]);
  return row.status && row.status !== 200 ? [...lines, ["status", String(row.status)]] : lines;
}
