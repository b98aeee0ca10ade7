// Values under the pointer, and the same by arrow keys. A point is {x, y, title, lines: [[name, value]…]}.

function explore(host, picture, points, options) {
  const tip = html("div", { class: "tip", role: "status" });
  tip.hidden = true;
  host.append(tip);
  const along = options && options.along;
  const mark = along ? svg("path", { class: "cross" }) : svg("circle", { class: "ring", r: 6 });
  mark.setAttribute("visibility", "hidden");
  picture.append(mark);
  let at = -1;

  function show(next) {
    at = Math.max(0, Math.min(points.length - 1, next));
    const point = points[at];
    mark.setAttribute("visibility", "visible");
    if (along) mark.setAttribute("d", `M${point.x.toFixed(1)} ${along[0]}V${along[1]}`);
    else for (const [name, value] of [["cx", point.x], ["cy", point.y]]) mark.setAttribute(name, value.toFixed(1));
    const made = typeof point.lines === "function" ? point.lines() : point.lines;
    const list = html("dl", {}, ...made.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
    tip.replaceChildren(html("b", {}, point.title), list);
    tip.hidden = false;
    place(point);
    if (options && options.shown) options.shown(at);
  }

  function place(point) {
    const box = picture.getBoundingClientRect(), whole = host.getBoundingClientRect();
    const left = point.x + box.left - whole.left + host.scrollLeft, top = (point.y || 0) + box.top - whole.top;
    const right = left + 14 + tip.offsetWidth < host.scrollLeft + host.clientWidth;
    tip.style.left = `${right ? left + 14 : Math.max(host.scrollLeft, left - 14 - tip.offsetWidth)}px`;
    tip.style.top = `${Math.max(0, Math.min(top - 20, host.clientHeight - tip.offsetHeight - 4))}px`;
  }

  function hide() {
    tip.hidden = true;
    mark.setAttribute("visibility", "hidden");
    if (options && options.shown) options.shown(-1);
  }

  function nearest(event) {
    const box = picture.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, least = Infinity;
    for (let n = 0; n < points.length; n++) {
      const point = points[n], dx = options && options.rows ? 0 : point.x - x, dy = along ? 0 : point.y - y;
      const far = dx * dx + dy * dy;
      if (far < least) [least, best] = [far, n];
    }
    return least <= ((options && options.reach) || Infinity) ** 2 ? best : -1;
  }

  picture.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    if (found < 0) hide();
    else if (found !== at || tip.hidden) show(found);
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") hide();
    if (!(event.key in steps) || !points.length) return;
    event.preventDefault();
    const step = steps[event.key];
    show(Number.isFinite(step) ? at + step : step < 0 ? 0 : points.length - 1);
  });
}
