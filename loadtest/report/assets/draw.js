// Scales, ticks, figures and SVG elements: what every chart is made of. It knows nothing of load tests.

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  for (const child of children) made.append(child);
  return made;
}

function html(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  for (const child of children) made.append(child);
  return made;
}

function label(text, x, y, attributes) {
  return svg("text", { x: x.toFixed(1), y: y.toFixed(1), ...attributes }, text);
}

function scale(domain, range, shape) {
  const bend = shape || ((value) => value);
  const [low, high] = domain.map(bend);
  return (value) => range[0] + ((bend(value) - low) / (high - low || 1)) * (range[1] - range[0]);
}

// Linear in the nines: 0, 90 %, 99 % are about equally far apart, and 100 % is not infinitely far.
const nines = (share) => -Math.log10(1 - Math.min(1, Math.max(0, share)) + 0.003);

function linearTicks(high, wanted) {
  if (!(high > 0)) return [0];
  const rough = high / wanted, ten = 10 ** Math.floor(Math.log10(rough));
  const step = ten * [1, 2, 5, 10].find((factor) => ten * factor >= rough * 0.999);
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, at) => at * step);
}

function logTicks(low, high) {
  const decades = Math.log10(high / low), factors = decades > 3.2 ? [1] : decades > 2.2 ? [1, 3] : [1, 2, 5];
  const ticks = [];
  for (let ten = Math.floor(Math.log10(low)); ten <= Math.log10(high); ten++)
    for (const factor of factors) {
      const value = factor * 10 ** ten;
      if (value >= low && value <= high) ticks.push(value);
    }
  return ticks;
}

function digits(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

const seconds = (value) =>
  value === null || value === undefined ? "–" : value === 0 ? "0" : Math.abs(value) < 1 ? `${digits(value * 1000)} ms` : `${digits(value)} s`;

const share = (value) => (value === null || value === undefined ? "–" : `${Number((value * 100).toFixed(value > 0.995 ? 2 : 1))} %`);

const clock = (value) => {
  const whole = Math.round(value), minutes = Math.floor(whole / 60);
  const padded = (number) => String(number).padStart(2, "0");
  return minutes >= 60 ? `${Math.floor(minutes / 60)}:${padded(minutes % 60)}:${padded(whole % 60)}` : `${minutes}:${padded(whole % 60)}`;
};

function clockTicks(end, wanted) {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600].find((entry) => end / entry <= wanted) || 86400;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, at) => at * step);
}

const shapes = {
  good: (x, y) => `M${x} ${y}h0`,
  slow_ttft: (x, y) => `M${x - 3} ${y + 2.4}h6l-3-5.4z`,
  slow_tpot: (x, y) => `M${x - 2.5} ${y - 2.5}h5v5h-5z`,
  slow_e2e: (x, y) => `M${x - 3.4} ${y}l3.4-3.4l3.4 3.4l-3.4 3.4z`,
  error: (x, y) => `M${x - 2.6} ${y - 2.6}l5.2 5.2m0-5.2l-5.2 5.2`,
  timeout: (x, y) => `M${x - 3} ${y}h6m-3-3v6`,
  shed: (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0-6 0`,
};

const shapeOf = (outcome, x, y) => (shapes[outcome] || shapes.good)(Number(x.toFixed(1)), Number(y.toFixed(1)));

const spoken = (outcome) =>
  ({ slow_ttft: "slow TTFT", slow_tpot: "slow TPOT", slow_e2e: "slow end to end", timeout: "time-out" })[outcome] || outcome;

function swatch(outcome) {
  return svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, svg("path", { class: `dots ${outcome}`, d: shapeOf(outcome, 6, 6) }));
}

function canvas(host, height, name) {
  const width = Math.max(640, Math.floor(host.clientWidth));
  const made = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img", "aria-label": name });
  return { made, width, height };
}
