
// The page around the drawing: head, legend, details, and what hands do.
function make(tag, words, parent, kind) {
  const made = parent.appendChild(document.createElement(tag));
  made.textContent = words;
  if (kind) made.className = kind;
  return made;
}
function head() {
  document.title = `${data.scenario} ${data.seed}: ${data.verdict}`;
  element("scenario").textContent = data.scenario;
  element("seed").textContent = `seed ${data.seed} · ${seconds(END, END < 1e6 ? 3 : 1)} of virtual time`;
  element("verdict").textContent = data.verdict === "pass" ? "passes" : data.verdict;
  element("verdict").className = data.verdict === "pass" ? "pass" : "fail";
  for (const [name, figure] of data.figures) {
    const place = make("span", "", element("figures"));
    make("b", figure.toLocaleString("en"), place);
    place.append(" " + name);
  }
  if (!data.violation) return;
  const banner = element("violation");
  banner.hidden = false;
  make("b", `${data.violation.oracle} at ${seconds(data.broken ?? END)}  `, banner);
  banner.append(data.violation.detail + "  ");
  make("span", `(${data.violation.invariant})`, banner);
  banner.onclick = () => { const at = data.broken ?? END; show(at - 400000, at + 60000); details(null, at); };
}
function legend() {
  const place = element("legend");
  for (const [outcome, words] of Object.entries(OUTCOMES)) {
    const count = data.requests.filter((request) => request.outcome === outcome).length;
    if (count === 0) continue;
    const button = make("button", "", place);
    button.type = "button"; button.title = "Show or dim these requests";
    make("i", "", button).style.background = `var(--${outcome})`;
    button.append(`${words} (${count})`);
    button.onclick = () => {
      if (!view.off.delete(outcome)) view.off.add(outcome);
      button.classList.toggle("off"); repaint();
    };
  }
  make("span", "", place, "gap");
  const keys = [["serves", "server gets requests"], ["starts", "starts"], ["drains", "drains"], ["dark", "gone without a word"],
    ["picked", "in the pick set"], ["config", "configuration in force"], ["fault", "fault"]];
  for (const [name, words] of keys) {
    const key = make("span", "", place), swatch = make("i", "", key);
    swatch.style.background = `var(--${name})`;
    if (name === "picked") swatch.style.height = "3px";
    key.append(words);
  }
}

// ---- details ----
function about(thing) {
  switch (thing.kind) {
    case "requests": {
      const end = thing.to === null ? "no end" : `${span(thing.to - thing.from)} later`;
      const by = thing.reason ? `${thing.status} (${thing.reason})` : thing.status ?? "";
      const met = thing.arrivals.map((a) => laneName(a.lane)).join(", then ") || "no server";
      const via = thing.gateway === null ? "" : ` at ${laneName(thing.gateway)}`;
      return [`${thing.method} ${thing.id} to s${thing.service}${via}`, `${OUTCOMES[thing.outcome]} ${by}, ${end}`, `arrived at ${met}`];
    }
    case "arrivals": return [`request ${thing.request.id} at ${laneName(thing.lane)}`, thing.replied === null ? "no response left it" : `answered after ${span(thing.replied - thing.at)}`];
    case "faults": return [`${thing.fault} ${thing.what}`, thing.once ? `at ${seconds(thing.from)}` : `${seconds(thing.from)} to ${seconds(thing.to)} (${span(thing.to - thing.from)})`];
    case "states": return [`${laneName(thing.lane)} ${STATES[thing.is]}`, `${seconds(thing.from)} to ${seconds(thing.to)}`];
    case "configurations": return [`configuration ${thing.is} on ${laneName(thing.lane)}`, `${seconds(thing.from)} to ${seconds(thing.to)} (${span(thing.to - thing.from)})`];
    default: return [thing.what ?? "", seconds(thing.at ?? thing.from)];
  }
}
function details(thing, at) {
  const place = element("details");
  place.replaceChildren();
  view.chosen = thing;
  if (thing) {
    const [title, ...rest] = about(thing);
    make("h2", title, place);
    rest.forEach((words) => make("p", words, place));
  } else if (at === undefined) {
    make("h2", data.violation ? "What broke" : "This run", place);
    if (data.violation) make("p", data.violation.detail, place);
    make("h2", "See it again", place);
    make("code", data.command, place);
    if (data.faults_drawn.length > 0) {
      make("h2", "Faults drawn", place);
      data.faults_drawn.forEach((words) => make("p", words, place));
    }
    make("h2", "Drawn with", place);
    make("p", data.options.join("  "), place);
  }
  // Lines that name the request, or else those around the instant.
  const request = thing?.request ?? (thing?.kind === "requests" ? thing : null);
  let from = thing ? (thing.from ?? thing.at) : at ?? data.broken ?? END, to = request ? request.end : thing?.to ?? from;
  const word = request && new RegExp(`(^|[^0-9])${request.id}([^0-9]|$)`);
  const first = lineAt(request ? request.from : from), last = lineAt(to + 1);
  let chosen = [];
  for (let n = first; n < last; n++) if (!word || word.test(data.lines[n])) chosen.push(n);
  if (!request) {
    chosen = [];
    for (let n = Math.max(0, first - 12); n < Math.min(data.lines.length, first + 28); n++) chosen.push(n);
  }
  make("h2", request ? "Its events" : "Events around it", place);
  const list = make("ol", "", place);
  for (const n of chosen.slice(0, 200)) {
    const item = make("li", data.lines[n].trimStart(), list, data.times[n] === from || request ? "on" : "");
    if (/^\s*[\d.]+ oracle /.test(data.lines[n])) item.classList.add("broken");
    item.onclick = () => center(data.times[n]);
  }
  if (data.left_out > 0) make("p", `${data.left_out} earlier lines are not in this page: write them with --trace.`, place);
  repaint();
}
function center(at) {
  const half = (view.to - view.from) / 2;
  show(at - half, at + half);
}

// ---- hands ----
function under(px, py) {
  const row = rows.find((row) => py >= top_(row) && py < top_(row) + row.height);
  if (!row || px < GUTTER) return null;
  const slack = (view.to - view.from) / (view.width - GUTTER) * 4, at = timeAt(px);
  const near = (things, end) => things.filter((t) => t.from - slack <= at && end(t) + slack >= at)
    .sort((a, b) => (end(a) - a.from) - (end(b) - b.from))[0];
  if (row.faults) {
    const index = Math.floor((py - top_(row) - 2) / 17);
    const wide = slack / 4 * 140;
    return data.faults.find((f) => f.row % FAULT_ROWS === index && f.from - slack <= at && Math.max(f.to, f.from + wide) >= at) ?? null;
  }
  if (row.lane === undefined) return null;
  const lane = row.lane, deep = data.lanes[lane].deep;
  const sub = deep > 1 ? Math.floor((py - top_(row) - 2) / ((row.height - 4) / deep)) : 0;
  const requests = deep > 1 ? on.requests[lane].filter((r) => r.row === sub) : on.requests[lane];
  const happening = on.happenings[lane].find((h) => Math.abs(h.at - at) < slack);
  return near(requests, (r) => r.end) ?? near(on.arrivals[lane], (a) => a.end) ?? happening
    ?? near(on.faults[lane], (f) => f.to) ?? near(on.configurations[lane], (c) => c.to) ?? near(on.states[lane], (s) => s.to) ?? null;
}
function hover(event) {
  const thing = under(event.offsetX, event.offsetY), tip = element("tip");
  if (thing !== view.hover) { view.hover = thing; repaint(); }
  tip.hidden = !thing;
  if (!thing) return;
  tip.textContent = about(thing).join("\n");
  tip.style.left = Math.min(event.offsetX + 14, view.width - tip.offsetWidth - 6) + "px";
  tip.style.top = Math.min(event.offsetY + 16, view.height - tip.offsetHeight - 6) + "px";
}
let drag = null;
lanes.onpointerdown = (event) => { drag = { px: event.clientX, py: event.clientY, from: view.from, to: view.to, scroll: view.scroll, moved: false }; lanes.setPointerCapture(event.pointerId); };
lanes.onpointermove = (event) => {
  if (!drag) return hover(event);
  const [dx, dy] = [event.clientX - drag.px, event.clientY - drag.py];
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag.moved = true; lanes.className = "moving"; element("tip").hidden = true;
  const shift = (dx / (view.width - GUTTER)) * (drag.to - drag.from);
  show(drag.from - shift, drag.to - shift);
  scrollTo(drag.scroll - dy);
};
lanes.onpointerup = (event) => {
  const moved = drag?.moved;
  drag = null; lanes.className = "";
  if (moved) return;
  const thing = under(event.offsetX, event.offsetY);
  if (thing) details(thing); else if (event.offsetX > GUTTER) details(null, timeAt(event.offsetX));
};
lanes.onpointerleave = () => { view.hover = null; element("tip").hidden = true; repaint(); };
lanes.ondblclick = (event) => zoom(0.25, timeAt(event.offsetX));
lanes.addEventListener("wheel", (event) => {
  event.preventDefault();
  const across = (view.to - view.from) / (view.width - GUTTER);
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.004), timeAt(event.offsetX));
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) { const by = (event.deltaX || event.deltaY) * across; show(view.from + by, view.to + by); }
  else scrollTo(view.scroll + event.deltaY);
}, { passive: false });
let brush = null;
overview.onpointerdown = (event) => { brush = event.offsetX; overview.setPointerCapture(event.pointerId); };
overview.onpointermove = (event) => {
  if (brush === null || Math.abs(event.offsetX - brush) < 3) return;
  const ends = [brush, event.offsetX].map((px) => (px / overview.clientWidth) * END).sort((a, b) => a - b);
  show(ends[0], ends[1]);
};
overview.onpointerup = (event) => {
  if (brush !== null && Math.abs(event.offsetX - brush) < 3) center((event.offsetX / overview.clientWidth) * END);
  brush = null;
};
function step(direction) {
  const shown = data.requests.filter(passes);
  const now = view.chosen?.request ?? view.chosen, place = shown.indexOf(now);
  const next = place >= 0 ? shown[place + direction] : direction > 0 ? shown[0] : shown[shown.length - 1];
  if (!next) return;
  details(next);
  if (next.from < view.from || next.end > view.to) center(next.from);
}
window.addEventListener("keydown", (event) => {
  if (event.target === element("filter")) { if (event.key === "Enter") step(1); return; }
  const middle = (view.from + view.to) / 2;
  const keys = { "+": () => zoom(0.6, middle), "=": () => zoom(0.6, middle), "-": () => zoom(1.7, middle), "0": () => show(-END * 0.01, END * 1.01),
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), Escape: () => details(null) };
  if (keys[event.key] && !event.ctrlKey && !event.metaKey) { keys[event.key](); event.preventDefault(); }
});
element("filter").oninput = (event) => { view.filter = event.target.value.trim().toLowerCase(); repaint(); };
element("fit").onclick = () => show(-END * 0.01, END * 1.01);
element("theme").onclick = () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.className && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.className = dark ? "light" : "dark";
  readColours(); repaint();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); repaint(); });
function resized() {
  const stage = element("stage");
  lanes.style.width = stage.clientWidth + "px"; lanes.style.height = stage.clientHeight + "px";
  [view.width, view.height] = [stage.clientWidth, stage.clientHeight];
  layOut(); scrollTo(view.scroll);
  // At once: until then what was drawn for another size would be stretched.
  paint();
}
new ResizeObserver(resized).observe(element("stage"));
readColours(); head(); legend(); resized();
// `#100004` chooses a request, `#dark` a theme: a link can lead to what it speaks of.
for (const word of location.hash.slice(1).split("&")) {
  if (word === "dark" || word === "light") { document.documentElement.className = word; readColours(); }
}
const meant = data.requests.find((request) => location.hash.slice(1).split("&").includes(String(request.id)));
show(-END * 0.01, END * 1.01);
if (meant) { show(meant.from - 300000, meant.end + 300000); details(meant); } else details(null);
