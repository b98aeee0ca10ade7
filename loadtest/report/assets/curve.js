// Good requests per second and attainment against the offered rate, each with its Wilson band, and the goodput found.

function curve(host, data) {
  const probes = data.curve.filter((place) => place.attainment[0] !== null);
  if (!probes.length) return empty(host, "No probe has judged requests.");
  const { made, width, height } = canvas(host, 520, "Good requests per second and attainment against the offered rate");
  const right = data.targets.length > 1 ? 120 : 84;
  const inner = { left: 62, right: width - right, top: [38, 274], bottom: [236, 468] };
  const highest = Math.max(...probes.map((probe) => probe.rate));
  const x = scale([0, highest * 1.04], [inner.left, inner.right]);
  const most = Math.max(...probes.map((probe) => Math.max(probe.good, probe.attainment[2] * probe.scheduled))) || 1;
  const good = scale([0, most * 1.25], [inner.bottom[0], inner.top[0]]);
  const held = scale([0, 1], [inner.bottom[1], inner.top[1]], nines);
  curveAxes(made, data, inner, { x, good, held, highest, most, width });
  for (const target of [...new Set(probes.map((probe) => probe.target))]) {
    const own = probes.filter((probe) => probe.target === target);
    made.append(curveOf(data, own, target, inner, { x, good, held }));
  }
  host.append(made);
  const points = probes
    .map((probe) => ({ x: x(probe.rate), y: held(probe.attainment[0]), title: curveTitle(data, probe), lines: curveLines(probe) }))
    .sort((a, b) => a.x - b.x);
  explore(host, made, points, { along: [inner.top[0], inner.bottom[1]] });
}

function curveAxes(made, data, inner, { x, good, held, highest, most, width }) {
  for (const value of linearTicks(highest * 1.04, 10)) {
    for (const part of [0, 1]) made.append(svg("path", { class: "grid", d: `M${x(value).toFixed(1)} ${inner.top[part]}V${inner.bottom[part]}` }));
    made.append(label(digits(value), x(value), inner.bottom[1] + 18, { class: "tick", "text-anchor": "middle", "data-axis": "x", "data-value": value }));
  }
  for (const value of linearTicks(most * 1.25, 5)) {
    made.append(svg("path", { class: "grid", d: `M${inner.left} ${good(value).toFixed(1)}H${inner.right}` }));
    made.append(label(digits(value), inner.left - 8, good(value) + 4, { class: "tick", "text-anchor": "end" }));
  }
  for (const value of [0, 0.5, 0.8, 1]) {
    made.append(svg("path", { class: "grid", d: `M${inner.left} ${held(value).toFixed(1)}H${inner.right}` }));
    made.append(label(share(value), inner.left - 8, held(value) + 4, { class: "tick", "text-anchor": "end" }));
  }
  for (const value of data.quantiles) {
    made.append(svg("path", { class: "quantile", "data-quantile": value, d: `M${inner.left} ${held(value).toFixed(1)}H${inner.right}` }));
    made.append(label(share(value), inner.left - 8, held(value) + 4, { class: "tick", "text-anchor": "end" }));
    made.append(label(`q ${value}`, inner.right + 8, held(value) + 4, { class: "label" }));
  }
  const top = Math.min(highest * 1.04, most * 1.25);
  made.append(svg("path", { class: "ideal", d: `M${x(0)} ${good(0)}L${x(top).toFixed(1)} ${good(top).toFixed(1)}` }));
  made.append(label("if all were good", Math.min(x(top) + 8, width - 4), good(top) + 14, { class: "label halo", "text-anchor": x(top) + 108 > width ? "end" : "start" }));
  made.append(label("good requests per second", inner.left - 46, 16, { class: "title" }));
  made.append(label("attainment, spaced by nines", inner.left - 46, inner.top[1] - 14, { class: "title" }));
  made.append(label("offered rate, requests per second", (inner.left + inner.right) / 2, inner.bottom[1] + 42, { class: "label", "text-anchor": "middle" }));
}

function curveOf(data, own, target, inner, { x, good, held }) {
  const group = svg("g", { class: `t${target}`, "data-target": target });
  group.append(...goodputMarks(data, target, inner, { x, held }));
  // Two targets at one rate stand side by side.
  const across = (point) => x(point.rate) + (data.targets.length > 1 ? target * 5 - 2.5 : 0);
  const path = (value, y) => own.map((point, at) => `${at ? "L" : "M"}${across(point).toFixed(1)} ${y(value(point)).toFixed(1)}`).join("");
  const band = (factor, y) => {
    const up = own.map((point) => [across(point), y(point.attainment[2] * factor(point))]);
    const down = own.map((point) => [across(point), y(point.attainment[1] * factor(point))]).reverse();
    return `M${[...up, ...down].map((pair) => pair.map((value) => value.toFixed(1)).join(" ")).join("L")}Z`;
  };
  group.append(svg("path", { class: "band", d: band((point) => point.scheduled, good) }), svg("path", { class: "curve", d: path((point) => point.good, good) }));
  group.append(svg("path", { class: "band", d: band(() => 1, held) }), svg("path", { class: "curve", d: path((point) => point.attainment[0], held) }));
  for (const probe of own) {
    const [value, low, high] = probe.attainment, at = across(probe);
    group.append(svg("path", { class: "whisker", d: `M${at.toFixed(1)} ${held(low).toFixed(1)}V${held(high).toFixed(1)}` }));
    group.append(svg("circle", { class: "point", cx: at, cy: held(value), r: 4.5 }), svg("circle", { class: "point", cx: at, cy: good(probe.good), r: 4.5 }));
  }
  if (data.targets.length > 1) {
    const last = own[own.length - 1], apart = target ? 12 : -6;
    group.append(label(data.targets[target] || `target ${target}`, Math.min(x(last.rate) + 9, inner.right + 4), good(last.good) + 4 + apart, { class: "name halo" }));
  }
  return group;
}

function goodputMarks(data, target, inner, { x, held }) {
  const marks = [], edge = (value) => Math.min(inner.right, x(value));
  for (const entry of data.goodputs.filter((one) => one.target === target && !one.withheld && one.rate[0] > 0)) {
    const [value, low, high] = entry.rate, at = edge(value), y = held(entry.quantile);
    marks.push(svg("path", { class: "interval", d: `M${edge(low ?? value).toFixed(1)} ${y.toFixed(1)}H${edge(high ?? value).toFixed(1)}` }));
    if (Math.abs(entry.quantile - data.quantile) < 1e-9) {
      const size = Math.max(1, edge(high ?? value) - edge(low ?? value));
      marks.push(svg("rect", { class: "zone", x: edge(low ?? value), y: inner.top[0], width: size, height: inner.bottom[1] - inner.top[0] }));
      marks.push(svg("path", { class: "found", "data-goodput": value, "data-at": at, d: `M${at.toFixed(1)} ${inner.top[0] - 6}V${inner.bottom[1]}` }));
      const said = `${data.targets.length > 1 ? `${data.targets[target]}: ` : "goodput "}${entry.bound ? "≥ " : ""}${digits(value)}`;
      const left = target === 0 && data.targets.length > 1;
      marks.push(label(said, at + (left ? -5 : 5), inner.top[0] - 9, { class: "name halo", "text-anchor": left || at > inner.right - 90 ? "end" : "start" }));
    }
    marks.push(svg("path", { class: "point", d: `M${at.toFixed(1)} ${(y - 6).toFixed(1)}l6 6l-6 6l-6-6z` }));
  }
  return marks;
}

const curveTitle = (data, probe) => `${digits(probe.rate)} req/s offered${data.targets.length > 1 ? `, ${data.targets[probe.target]}` : ""}`;

function curveLines(probe) {
  const [value, low, high] = probe.attainment;
  const lines = [
    ["attainment", share(value)],
    ["95 % interval", `${share(low)} to ${share(high)}`],
    ["good", `${digits(probe.good)} req/s`],
    ["scheduled", `${digits(probe.scheduled)} req/s`],
    [probe.probes.length > 1 ? "probes" : "probe", probe.probes.join(", ")],
  ];
  for (const [quantile, verdict] of Object.entries(probe.verdicts)) lines.push([`q ${quantile}`, verdict]);
  return lines.concat(probe.early ? [["ended early", probe.early]] : []);
}
