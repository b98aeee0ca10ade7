// Idle TTFT by length of the prompt with its fitted line, against the limits of the classes.

function floor(host, data) {
  const floors = data.floors.filter((entry) => entry.points.length);
  if (!floors.length) return empty(host, "Idle latency was not measured in this run.");
  const { made, width, height } = canvas(host, 270, "Idle TTFT by length of the prompt");
  const inner = { left: 66, right: width - 150, top: 22, bottom: height - 48 };
  const limits = floors[0].limits;
  const tokens = Math.max(...floors.flatMap((entry) => entry.points.map((point) => point[0]))) * 1.05;
  const fitted = (entry, at) => entry.base + entry.per_token * at;
  const most = Math.max(...floors.flatMap((entry) => [fitted(entry, tokens), ...entry.points.map((point) => point[1])]), ...limits.map((limit) => limit.ttft)) * 1.1;
  const x = scale([0, tokens], [inner.left, inner.right]), y = scale([0, most], [inner.bottom, inner.top]);
  for (const value of linearTicks(tokens, 9)) {
    made.append(svg("path", { class: "grid", d: `M${x(value).toFixed(1)} ${inner.top}V${inner.bottom}` }));
    made.append(label(digits(value), x(value), inner.bottom + 18, { class: "tick", "text-anchor": "middle" }));
  }
  for (const value of linearTicks(most, 5)) {
    made.append(svg("path", { class: "grid", d: `M${inner.left} ${y(value).toFixed(1)}H${inner.right}` }));
    made.append(label(seconds(value), inner.left - 8, y(value) + 4, { class: "tick", "text-anchor": "end" }));
  }
  made.append(label("prompt, tokens", (inner.left + inner.right) / 2, inner.bottom + 40, { class: "label", "text-anchor": "middle" }));
  let free = Infinity;
  for (const [said, value] of merged(limits)) {
    const beside = Math.min(y(value) + 4, free);
    free = beside - 15;
    made.append(svg("path", { class: "quantile", d: `M${inner.left} ${y(value).toFixed(1)}H${inner.right}` }));
    made.append(label(said, inner.right + 8, beside, { class: "label" }));
  }
  const points = [];
  for (const entry of floors) {
    const group = svg("g", { class: `t${entry.target}` });
    group.append(svg("path", { class: "curve", d: `M${x(0)} ${y(fitted(entry, 0)).toFixed(1)}L${x(tokens)} ${y(fitted(entry, tokens)).toFixed(1)}` }));
    for (const [length, ttft] of entry.points) {
      group.append(svg("circle", { class: "point", cx: x(length), cy: y(ttft), r: 4.5 }));
      const lines = [["idle TTFT", seconds(ttft)], ["by the fit", seconds(fitted(entry, length))]];
      points.push({ x: x(length), y: y(ttft), title: `${digits(length)} tokens${data.targets.length > 1 ? `, ${data.targets[entry.target]}` : ""}`, lines });
    }
    made.append(group);
  }
  host.append(made);
  explore(host, made, points.sort((a, b) => a.x - b.x));
}

// Classes with one limit share a line and a label.
function merged(limits) {
  const found = new Map();
  for (const limit of limits) found.set(limit.ttft, [...new Set([...(found.get(limit.ttft) || []), limit.name])]);
  return [...found].sort((a, b) => a[0] - b[0]).map(([value, names]) => [`${names.join(", ")} ${seconds(value)}`, value]);
}
