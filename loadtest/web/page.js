"use strict";
const PHASES = { starting: "Starting", floor: "Feasibility floor: idle latency", probe: "Probe", done: "Done" };
const OUTCOMES = ["good", "slow_ttft", "slow_tpot", "slow_e2e", "error", "timeout", "shed", "cut"];
const WORDS = {
  good: "good", slow_ttft: "slow TTFT", slow_tpot: "slow TPOT", slow_e2e: "slow end to end",
  error: "error", timeout: "time-out", shed: "shed", cut: "cut by the end (not counted)",
};
const at = (id) => document.getElementById(id);
const percent = (share, digits = 1) => (share == null ? "–" : `${(100 * share).toFixed(digits)} %`);
const rate = (value) => (value == null ? "–" : `${Number(value.toPrecision(3))}/s`);
const span = (seconds) => {
  if (seconds == null) return "–";
  if (seconds < 0.1) return `${Number((1000 * seconds).toFixed(1))} ms`;
  return seconds < 1 ? `${(1000 * seconds).toFixed(0)} ms` : `${seconds.toFixed(2)} s`;
};
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function element(tag, attributes, ...children) {
  const drawing = ["line", "path", "circle", "text", "g", "title"].includes(tag);
  const made = drawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function show(state) {
  const { plan, running } = state;
  document.body.classList.toggle("two", plan.targets.length > 1);
  at("what").textContent = `${plan.kind} · ${plan.targets.join(" against ")} · ${plan.arrivals} arrivals · ${plan.slos.map(limits).join("; ")}`;
  at("phase").textContent = heading(state);
  at("clock").textContent = `${clock(state.seconds)} since the run began`;
  at("said").textContent = [state.bracket, state.said].filter(Boolean).join(" · ");
  progress(state);
  at("link").replaceChildren(...(state.report ? [element("a", { href: "goodput/report", target: "_blank" }, "Open the report")] : []));
  answers(state);
  at("probe").hidden = !running;
  if (running) probe(running, plan);
  const nothing = !running && !state.probes.length;
  for (const section of document.querySelectorAll(".judged")) section.hidden = nothing;
  if (nothing) return;
  curve(state);
  probes(state);
}

function limits(slo) {
  const parts = [["TTFT", slo.ttft_seconds], ["TPOT", slo.tpot_seconds], ["end to end", slo.e2e_seconds]];
  const told = parts.filter(([, limit]) => limit != null).map(([name, limit]) => `${name} ≤ ${span(limit)}`);
  return `${slo.name}: ${told.join(", ") || "no limits"}`;
}

function heading({ phase, running, most_probes, plan }) {
  if (phase !== "probe" || !running) return PHASES[phase] || phase;
  const most = most_probes ? ` of at most ${most_probes}` : "";
  const whose = plan.targets.length > 1 ? ` to ${plan.targets[running.target]}` : "";
  return `Probe ${running.number + 1}${most}: ${running.rate ? rate(running.rate) : "the trace's own rate"}${whose}`;
}

function progress({ phase, running }) {
  let share = phase === "done" ? 1 : 0;
  if (running && running.of_seconds) share = Math.min(1, running.seconds / running.of_seconds);
  at("progress").setAttribute("aria-valuenow", Math.round(100 * share));
  at("progress").firstElementChild.style.width = `${100 * share}%`;
}

function tile(name, value, note = "", kind = "") {
  return element("div", { class: kind }, element("small", {}, name), element("b", {}, value), element("small", {}, note));
}

function answers({ goodputs, checks, plan }) {
  at("answers").hidden = !goodputs.length && !checks.length;
  at("goodputs").replaceChildren(...goodputs.map((found) => {
    const whose = plan.targets.length > 1 ? `${plan.targets[found.target]}, ` : "";
    const name = `${whose}goodput at ${percent(found.quantile, 0)}`;
    if (found.withheld) return tile(name, "withheld", found.withheld, "withheld");
    const more = found.failed_rate == null ? "a lower bound: no rate failed; " : "";
    const gpu = found.per_gpu == null ? "" : `; ${rate(found.per_gpu)} per GPU`;
    return tile(name, rate(found.rate.value), `${more}${rate(found.rate.low)} – ${rate(found.rate.high)}${gpu}`);
  }));
  at("checks").replaceChildren(...checks.map(({ name, holds, message }) =>
    element("li", { class: holds ? "pass" : "fail" }, `${holds ? "✓" : "✗"} ${name}: ${message}`)));
}

function probe(running, plan) {
  const { attainment, outcomes } = running;
  const warm = running.seconds < running.warmup_seconds;
  const past = running.seconds > running.of_seconds;
  at("probe-title").textContent = warm ? "This probe, warming up" : past ? "This probe, waiting for the last answers" : "This probe so far";
  at("tiles").replaceChildren(
    tile("attainment", percent(attainment && attainment.value), attainment ? `${percent(attainment.low)} – ${percent(attainment.high)}` : ""),
    tile("time", `${Math.min(running.seconds, running.of_seconds).toFixed(0)} s`, `of ${running.of_seconds.toFixed(0)} s`),
    tile("in flight", String(running.in_flight)),
    tile("late", String(running.late), "sent > 5 ms after their time"),
    tile("dropped", String(running.dropped), "never sent: no user was free", running.dropped ? "bad" : ""),
  );
  const counts = OUTCOMES.map((name) => [name, outcomes[name] || 0]).filter(([, count]) => count);
  at("bar").replaceChildren(...counts.map(([name, count]) => element("i", { style: `flex:${count};background:var(--${name})`, title: `${WORDS[name]}: ${count}` })));
  at("bar").setAttribute("aria-label", counts.map(([name, count]) => `${WORDS[name]} ${count}`).join(", "));
  at("legend").replaceChildren(...counts.map(([name, count]) =>
    element("span", {}, element("i", { class: "dot", style: `background:var(--${name})` }), `${WORDS[name]} ${count}`)));
  const slo = plan.slos.length === 1 ? plan.slos[0] : {};
  at("times").tBodies[0].replaceChildren(
    times("TTFT", running.ttft, slo.ttft_seconds), times("TPOT", running.tpot, slo.tpot_seconds));
}

function times(name, spread, limit) {
  const cells = ["p50", "p90", "p99"].map((quantile) => {
    const value = spread && spread[quantile];
    return element("td", { class: limit != null && value > limit ? "over" : "" }, span(value));
  });
  return element("tr", {}, element("td", {}, name), ...cells, element("td", {}, span(limit)));
}

function probes(state) {
  const wanted = String(state.plan.quantile);
  at("probes").tBodies[0].replaceChildren(...state.probes.slice().reverse().map((found) => {
    const verdict = found.verdicts[wanted] || Object.values(found.verdicts)[0] || "–";
    const texts = [rate(found.offered_rate || found.scheduled_rate), percent(found.attainment.value),
      `${percent(found.attainment.low)} – ${percent(found.attainment.high)}`,
      span(found.ttft.p50), span(found.ttft.p99), span(found.tpot.p50), span(found.tpot.p99)];
    return element("tr", {}, element("td", {}, String(found.number + 1)),
      element("td", { class: "target" }, state.plan.targets[found.target]),
      ...texts.map((text) => element("td", {}, text)),
      element("td", { class: verdict }, verdict + (remarks(found) ? " *" : "")));
  }));
  at("remarks").replaceChildren(...state.probes.filter(remarks).map((found) =>
    element("p", {}, `* Probe ${found.number + 1}: ${remarks(found)}`)));
}

function remarks(found) {
  return [...found.client.reasons, found.ended_early && `ended early: ${found.ended_early}`].filter(Boolean).join(" ");
}

const LEFT = 52, TOP = 12, BOTTOM = 226, HEIGHT = 268;

function curve(state) {
  const points = state.probes.map((found) => ({ target: found.target, rate: found.offered_rate || found.scheduled_rate, ...found.attainment }));
  const { running } = state;
  const rates = points.map((point) => point.rate).concat(running ? [running.rate] : []);
  const [most, step] = scale(Math.max(...rates, 0) || 1);
  const right = (at("curve").clientWidth || 720) - 20;
  at("curve").setAttribute("viewBox", `0 0 ${right + 20} ${HEIGHT}`);
  const x = (value) => LEFT + (right - LEFT) * value / most;
  const y = (share) => BOTTOM - (BOTTOM - TOP) * share;
  const drawn = axes(most, step, x, y);
  const wanted = state.plan.quantile;
  drawn.push(element("line", { class: "wanted", x1: LEFT, x2: x(most), y1: y(wanted), y2: y(wanted) }));
  // Two servers at one rate stand side by side.
  const aside = state.plan.targets.length > 1 ? 4 : 0;
  for (const target of [0, 1]) {
    const shifted = (value) => x(value) + (target ? aside : -aside);
    drawn.push(...series(points.filter((point) => point.target === target), target, shifted, y));
  }
  if (running && running.rate) drawn.push(element("line", { x1: x(running.rate), x2: x(running.rate), y1: TOP, y2: BOTTOM, stroke: "var(--accent)", "stroke-opacity": 0.5 }));
  if (running && running.rate && running.attainment) {
    drawn.push(element("circle", { cx: x(running.rate), cy: y(running.attainment.value), r: 5, fill: "none", stroke: "var(--accent)", "stroke-width": 2 }));
  }
  at("curve").replaceChildren(...drawn);
  const colours = state.plan.targets.length > 1 ? `: green ${state.plan.targets[0]}, blue ${state.plan.targets[1]}` : "";
  at("curve-note").textContent = `Each point is a finished probe with its 95 % interval${colours}; ${running ? "the ring is the one that goes on; " : ""}the dashed line is ${percent(wanted, 0)}.`;
}

// The end of an axis that holds `value`, and the step of its marks.
function scale(value) {
  const size = 10 ** Math.floor(Math.log10(value * 1.05));
  const ends = [[1, 0.2], [1.5, 0.5], [2, 0.5], [3, 1], [4, 1], [5, 1], [6, 2], [8, 2], [10, 2]];
  return ends.find(([end]) => end * size >= value * 1.05).map((part) => part * size);
}

function axes(most, step, x, y) {
  const drawn = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    drawn.push(element("line", { class: "grid", x1: LEFT, x2: x(most), y1: y(share), y2: y(share) }));
    drawn.push(element("text", { x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`));
  }
  for (let value = 0; value < most + step / 2; value += step) {
    drawn.push(element("text", { x: x(value), y: BOTTOM + 18, "text-anchor": "middle" }, String(Number(value.toPrecision(3)))));
  }
  drawn.push(element("text", { x: x(most / 2), y: BOTTOM + 33, "text-anchor": "middle" }, "requests per second, offered"));
  return drawn;
}

function series(points, target, x, y) {
  const colour = target ? "var(--b)" : "var(--accent)";
  const ordered = points.slice().sort((one, other) => one.rate - other.rate);
  const path = ordered.map((point, place) => `${place ? "L" : "M"}${x(point.rate)} ${y(point.value)}`).join("");
  const drawn = ordered.length > 1 ? [element("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.5, "stroke-opacity": 0.6 })] : [];
  for (const point of ordered) {
    drawn.push(element("line", { x1: x(point.rate), x2: x(point.rate), y1: y(point.low), y2: y(point.high), stroke: colour, "stroke-width": 2 }));
    drawn.push(element("circle", { cx: x(point.rate), cy: y(point.value), r: 4, fill: colour },
      element("title", {}, `${rate(point.rate)}: ${percent(point.value)}`)));
  }
  return drawn;
}

function dress() {
  const chosen = localStorage.getItem("theme");
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", dark);
}

async function look() {
  let next = 1000;
  try {
    const answer = await fetch("goodput/state.json", { signal: AbortSignal.timeout(5000) });
    if (!answer.ok || answer.redirected) throw new Error(answer.redirected ? "log in again" : `status ${answer.status}`);
    const state = await answer.json();
    at("lost").hidden = true;
    if (state.version !== version) show(state);
    version = state.version;
    if (state.phase === "done" && state.report) next = 5000;
  } catch (error) {
    at("lost").textContent = `No answer from locust (${error.message}): the figures below are the last ones that came.`;
    at("lost").hidden = false;
    next = 3000;
  }
  setTimeout(look, next);
}

let version = -1;
dress();
addEventListener("storage", dress);
addEventListener("resize", () => { version = -1; });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
look();
