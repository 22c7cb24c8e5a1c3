
// How it is drawn. Colours are those of the style sheet.
const lanes = element("lanes"), overview = element("overview");
let colour = {};
function readColours() {
  // light-dark() is resolved by the browser once it is the colour of an element.
  const probe = document.body.appendChild(document.createElement("i"));
  const names = ["page", "panel", "ink", "soft", "rule", "stripe", "answered", "invented", "lost", "aborted", "open", "serves", "starts",
    "drains", "dark", "picked", "config", "config2", "fault", "broken"];
  colour = Object.fromEntries(names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  }));
  probe.remove();
}

function prepared(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  g.textBaseline = "middle";
  return g;
}
function bar(g, left, y, right, height, fill, alpha = 1) {
  const width = Math.max(right - left, 1.5);
  g.globalAlpha = alpha; g.fillStyle = fill;
  g.beginPath(); g.roundRect(left, y, width, height, Math.min(3, width / 2, height / 2)); g.fill();
  g.globalAlpha = 1;
}
function line(g, px, from, to, stroke, width = 1, dash = []) {
  g.strokeStyle = stroke; g.lineWidth = width; g.setLineDash(dash);
  g.beginPath(); g.moveTo(px, from); g.lineTo(px, to); g.stroke(); g.setLineDash([]);
}
function text(g, words, left, y, most, fill) {
  if (most < 14) return;
  g.fillStyle = fill;
  let shown = words;
  while (shown.length > 1 && g.measureText(shown).width > most) {
    shown = shown.slice(0, Math.max(1, Math.floor(shown.length * most / g.measureText(shown).width) - 1));
  }
  if (shown.length > 2 || shown === words) g.fillText(shown === words ? words : shown + "…", left, y);
}
// The part of a segment that is in view, in pixels.
function inView(from, to) {
  if (to < view.from || from > view.to) return null;
  return [Math.max(x(from), GUTTER - 4), Math.min(x(to), view.width + 4)];
}
function ticks(from, to, most) {
  const rough = (to - from) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const all = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) all.push(at);
  return { all, digits: Math.max(0, -Math.floor(Math.log10(step / 1e6))) };
}

function paintLane(g, row) {
  const lane = row.lane, y = top_(row), height = row.height, inner = height - 8;
  for (const { from, to, is } of on.states[lane]) {
    const seen = inView(from, to);
    if (!seen) continue;
    const [left, right] = seen, group = data.lanes[lane].group;
    if (is === "ended") continue;
    if (is === "dark") {
      g.save(); g.beginPath(); g.rect(left, y + 4, right - left, inner); g.clip();
      g.strokeStyle = colour.dark; g.globalAlpha = 0.55; g.lineWidth = 1;
      for (let at = left - inner; at < right; at += 6) { g.beginPath(); g.moveTo(at, y + 4 + inner); g.lineTo(at + inner, y + 4); g.stroke(); }
      g.restore(); g.globalAlpha = 1;
      continue;
    }
    if (group === "gateways" && is === "serves") continue;
    // A server that serves and is in no pick set is pale; the pick set is drawn over it.
    bar(g, left, y + 4, right, inner, colour[is], is === "serves" ? (group === "servers" ? 0.3 : 0.45) : 0.9);
  }
  for (const { from, to, is } of on.picks[lane]) {
    const seen = inView(from, to);
    if (!seen) continue;
    const dead = on.states[lane].filter((s) => s.from < to && s.to > from && s.is === "serves");
    for (const state of dead) {
      const both = inView(Math.max(from, state.from), Math.min(to, state.to));
      if (both) bar(g, both[0], y + 4, both[1], inner, colour.serves, 0.25 + 0.55 * is);
    }
    bar(g, seen[0], y + height - 4, seen[1], 2.5, colour.picked, 0.3 + 0.7 * is);
  }
  on.configurations[lane].forEach(({ from, to, is }, n) => {
    const seen = inView(from, to);
    if (!seen) return;
    bar(g, seen[0] + 0.5, y + 4, seen[1] - 0.5, inner, n % 2 ? colour.config2 : colour.config);
    text(g, String(is), Math.max(seen[0], GUTTER) + 5, y + height / 2, seen[1] - Math.max(seen[0], GUTTER) - 8, colour.ink);
  });
  for (const fault of on.faults[lane]) {
    const seen = inView(fault.from, fault.to);
    if (!seen) continue;
    if (fault.once) {
      g.fillStyle = colour.fault; g.beginPath();
      g.moveTo(seen[0] - 4, y + 1); g.lineTo(seen[0] + 4, y + 1); g.lineTo(seen[0], y + 7); g.fill();
    } else {
      bar(g, seen[0], y + 1, seen[1], 2.5, colour.fault, 0.9);
    }
  }
  g.globalAlpha = 0.5;
  for (const { at } of on.happenings[lane]) {
    if (at >= view.from && at <= view.to) line(g, x(at), y + 6, y + height - 6, colour.soft);
  }
  g.globalAlpha = 1;
  for (const arrival of on.arrivals[lane]) {
    const seen = inView(arrival.from, arrival.end);
    if (seen) bar(g, seen[0], y + height / 2 - 2.5, seen[1], 5, colour.ink, passes(arrival.request) ? (isLit(arrival.request) ? 0.95 : 0.28) : 0.05);
  }
  const deep = data.lanes[lane].deep, thick = deep > 1 ? (height - 4) / deep : inner;
  for (const request of on.requests[lane]) {
    const seen = inView(request.from, request.end);
    if (!seen) continue;
    const ry = deep > 1 ? y + 2 + request.row * thick : y + 4, rh = deep > 1 ? Math.max(thick - 1, 1.5) : inner;
    const alpha = passes(request) ? 1 : 0.1;
    bar(g, seen[0], ry, seen[1], rh, colour[request.outcome], request.outcome === "answered" ? 0.85 * alpha : alpha);
    if (isLit(request)) {
      g.strokeStyle = colour.ink; g.lineWidth = 1.5; g.strokeRect(seen[0] - 1, ry - 1, Math.max(seen[1] - seen[0], 1.5) + 2, rh + 2);
    }
    if (seen[1] - seen[0] > 60 && rh >= 10 && alpha === 1) {
      text(g, `${request.id} ${request.reason ?? ""}`, Math.max(seen[0], GUTTER) + 5, ry + rh / 2, seen[1] - Math.max(seen[0], GUTTER) - 10, colour.panel);
    }
  }
}
function isLit(request) {
  return [view.hover, view.chosen].some((thing) => thing && (thing === request || thing.request === request));
}
// From a request to where it arrived, and back.
function paintLinks(g, request) {
  const own = data.lanes[request.lane], middle = (lane) => AXIS + lane.y - view.scroll + lane.height / 2;
  for (const arrival of request.arrivals) {
    const there = data.lanes[arrival.lane];
    const legs = [[request.from, own, arrival.at, there]];
    if (arrival.replied !== null && request.to !== null) legs.push([arrival.replied, there, request.to, own]);
    for (const [from, a, to, b] of legs) {
      const [x1, y1, x2, y2] = [x(from), middle(a), x(to), middle(b)], bend = (y2 - y1) / 2;
      g.strokeStyle = colour.ink; g.lineWidth = 1.4; g.globalAlpha = 0.8;
      g.beginPath(); g.moveTo(x1, y1); g.bezierCurveTo(x1, y1 + bend, x2, y2 - bend, x2, y2); g.stroke();
      const up = Math.sign(y1 - y2) * 6;
      g.fillStyle = colour.ink; g.beginPath(); g.moveTo(x2, y2); g.lineTo(x2 - 3.5, y2 + up); g.lineTo(x2 + 3.5, y2 + up); g.fill();
      g.globalAlpha = 1;
    }
  }
}

// Pixels from a fault to the next one in its row: what its label may take.
function roomAfter(fault) {
  return fault.next ? x(fault.next.from) - x(fault.from) : view.width - x(fault.from);
}
function paintFaults(g, row) {
  const y = top_(row);
  data.faults.forEach((fault) => {
    const seen = inView(fault.from, fault.once ? fault.from : fault.to);
    if (!seen) return;
    const fy = y + 2 + (fault.row % FAULT_ROWS) * 17, lit = view.hover === fault || view.chosen === fault;
    if (fault.once) {
      g.fillStyle = colour.fault; g.beginPath(); g.arc(seen[0], fy + 7, lit ? 4.5 : 3.5, 0, 7); g.fill();
      text(g, `${fault.fault} ${fault.what}`, seen[0] + 8, fy + 7.5, roomAfter(fault) - 12, colour.ink);
    } else {
      bar(g, seen[0], fy, seen[1], 14, colour.fault, lit ? 0.5 : 0.26);
      const left = Math.max(seen[0], GUTTER) + 5;
      text(g, `${fault.fault} ${fault.what}`, left, fy + 7.5, x(fault.from) + roomAfter(fault) - left - 4, colour.ink);
    }
  });
}

function paint() {
  const g = prepared(lanes), { width, height } = view;
  const { all, digits } = ticks(view.from, view.to, Math.max(3, (width - GUTTER) / 110));
  g.save(); g.beginPath(); g.rect(0, AXIS, width, height - AXIS); g.clip();
  rows.forEach((row) => {
    if (row.lane !== undefined && row.lane % 2) { g.fillStyle = colour.stripe; g.fillRect(0, top_(row), width, row.height); }
  });
  all.forEach((at) => line(g, x(at), AXIS, height, colour.rule));
  // Faults lie across everything, faintly.
  for (const fault of data.faults) {
    const seen = inView(fault.from, fault.to), lit = view.hover === fault || view.chosen === fault;
    if (!seen) continue;
    g.globalAlpha = lit ? 1 : 0.45;
    if (fault.once) line(g, seen[0], AXIS, height, colour.fault, lit ? 1.5 : 0.75, [2, 4]);
    g.globalAlpha = lit ? 0.14 : 0.05;
    if (!fault.once) { g.fillStyle = colour.fault; g.fillRect(seen[0], AXIS, seen[1] - seen[0], height); }
    g.globalAlpha = 1;
  }
  const visible = rows.filter((row) => top_(row) + row.height > AXIS && top_(row) < height);
  for (const row of visible) {
    if (row.lane !== undefined) paintLane(g, row);
    if (row.faults) paintFaults(g, row);
  }
  if (data.broken !== null) line(g, x(data.broken), AXIS, height, colour.broken, 2);
  // Names stand before everything that moves.
  g.fillStyle = colour.panel; g.fillRect(0, AXIS, GUTTER - 1, height);
  for (const row of visible) {
    const y = top_(row) + row.height / 2;
    if (row.heading) {
      g.fillStyle = colour.panel; g.fillRect(0, top_(row), width, row.height - 3);
      g.font = "600 11px system-ui, 'DejaVu Sans', sans-serif";
      text(g, row.heading, 12, y + 1, 200, colour.ink);
      g.font = "11px system-ui, 'DejaVu Sans', sans-serif";
      g.fillStyle = colour.rule; g.fillRect(0, top_(row) + row.height - 3, width, 1);
    } else if (row.lane !== undefined) {
      text(g, laneName(row.lane), 20, y, GUTTER - 26, colour.soft);
    }
  }
  line(g, GUTTER - 0.5, AXIS, height, colour.rule);
  const lit = [view.hover, view.chosen].map((thing) => thing?.request ?? thing).filter((thing) => thing?.kind === "requests");
  g.beginPath(); g.rect(GUTTER, AXIS, width, height); g.clip();
  new Set(lit).forEach((request) => paintLinks(g, request));
  g.restore();
  if (contentHeight > height - AXIS) {
    const room = height - AXIS, tall = Math.max(24, (room * room) / contentHeight);
    bar(g, width - 6, AXIS + (view.scroll / (contentHeight - room)) * (room - tall), width - 2, tall, colour.soft, 0.4);
  }
  g.fillStyle = colour.panel; g.fillRect(0, 0, width, AXIS);
  g.textAlign = "center";
  all.forEach((at) => { if (x(at) > GUTTER - 2) text(g, seconds(at, digits), x(at), AXIS / 2, 100, colour.soft); });
  if (data.broken !== null && x(data.broken) > GUTTER) {
    const label = data.violation?.oracle ?? "", px = Math.min(x(data.broken), width - 18);
    bar(g, px - 16, 5, px + 16, AXIS - 10, colour.broken);
    text(g, label, px, AXIS / 2, 40, "#fff");
  }
  g.textAlign = "left";
  g.fillStyle = colour.rule; g.fillRect(0, AXIS - 1, width, 1);
  g.fillStyle = colour.panel; g.fillRect(0, height - 18, width, 18);
  g.fillStyle = colour.rule; g.fillRect(0, height - 18, width, 1);
  text(g, "Phase", 12, height - 8, GUTTER, colour.soft);
  data.phases.forEach((phase, n) => {
    const next = data.phases[n + 1]?.at ?? END, left = Math.max(x(phase.at), GUTTER);
    if (x(phase.at) >= GUTTER) line(g, x(phase.at), height - 18, height, colour.soft);
    text(g, phase.what, left + 4, height - 8, Math.min(x(next), width) - left - 6, colour.soft);
  });
  paintOverview();
}

function paintOverview() {
  const g = prepared(overview), { clientWidth: width, clientHeight: height } = overview;
  const at = (micros) => (micros / END) * width, columns = Math.max(1, Math.floor(width / 3));
  g.fillStyle = colour.fault; g.globalAlpha = 0.14;
  for (const fault of data.faults) g.fillRect(at(fault.from), 0, Math.max(at(fault.to) - at(fault.from), 1), height);
  g.globalAlpha = 1;
  const kinds = ["answered", "aborted", "open", "invented", "lost"], counts = Array.from({ length: columns }, () => ({}));
  for (const request of data.requests) {
    const column = counts[Math.min(columns - 1, Math.floor((request.from / END) * columns))];
    column[request.outcome] = (column[request.outcome] ?? 0) + 1;
  }
  const sum = (column) => kinds.reduce((total, kind) => total + (column[kind] ?? 0), 0), most = Math.max(1, ...counts.map(sum));
  counts.forEach((column, n) => {
    let y = height - 2;
    for (const kind of kinds) {
      const tall = ((column[kind] ?? 0) / most) * (height - 8);
      // Rare failures are never too small to see.
      const shown = tall > 0 && kind !== "answered" ? Math.max(tall, 3) : tall;
      g.fillStyle = colour[kind]; g.fillRect((n * width) / columns, y - shown, width / columns - 0.6, shown); y -= shown;
    }
  });
  if (data.broken !== null) line(g, Math.min(at(data.broken), width - 1), 0, height, colour.broken, 2);
  const [left, right] = [Math.max(at(view.from), 0), Math.min(at(view.to), width)];
  g.fillStyle = colour.page; g.globalAlpha = 0.65; g.fillRect(0, 0, left, height); g.fillRect(right, 0, width - right, height);
  g.globalAlpha = 1; g.strokeStyle = colour.soft; g.lineWidth = 1; g.strokeRect(left + 0.5, 0.5, Math.max(right - left - 1, 2), height - 1);
}

let due = false;
function repaint() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; paint(); });
}
