"use strict";
// Shows what ../api says, every few seconds. Everything is set as text, never as markup.

const SHOWN = 500;
const EVERY = 5000;
const el = (id) => document.getElementById(id);
let latest = null;

function node(tag, text, className) {
  const n = document.createElement(tag);
  if (text !== undefined) n.textContent = text;
  if (className) n.className = className;
  return n;
}

const code = (text) => node("code", text);
const tag = (text, kind) => node("span", text, "tag " + kind);
const lines = (list, make) => (list || []).map((one) => { const n = node("span", undefined, "line"); n.append(make(one)); return n; });
const status = (s) => tag(s, { enabled: "good", warning: "warn", disabled: "bad" }[s] || "warn");

function row(cells) {
  const tr = node("tr");
  for (const cell of cells) {
    const td = node("td");
    if (typeof cell === "number") { td.className = "number"; td.textContent = String(cell); }
    else if (Array.isArray(cell)) td.append(...cell);
    else td.append(cell ?? "");
    tr.append(td);
  }
  return tr;
}

function fill(id, rows, columns) {
  const shown = rows.slice(0, SHOWN);
  if (!rows.length) {
    const td = node("td", "none", "empty");
    td.colSpan = columns;
    const tr = node("tr");
    tr.append(td);
    shown.push(tr);
  }
  el(id).replaceChildren(...shown);
  const count = el(id + "-count");
  if (count) count.textContent = rows.length > SHOWN ? `${SHOWN} of ${rows.length}` : String(rows.length);
}

function wanted(name, object) {
  const text = el("filter").value.trim().toLowerCase();
  return !text || (name + " " + JSON.stringify(object)).toLowerCase().includes(text);
}

const objects = (map) => Object.entries(map || {}).filter(([name, o]) => wanted(name, o)).sort((a, b) => a[0] < b[0] ? -1 : 1);
const errors = (o) => (o.error || []).map((e) => node("span", e, "line empty"));
const own = new Set(["status", "usedBy", "error", "using", "serverStatus"]);

function server(url, up, weight) {
  const n = node("span");
  n.append(tag(up, up === "UP" ? "good" : "bad"), " ", code(url), weight === undefined ? "" : ` × ${weight}`);
  return n;
}

function servers(o) {
  if (o.loadBalancer) return lines(o.loadBalancer.servers, (s) => server(s.url, (o.serverStatus || {})[s.url] || "UP", s.weight));
  if (o.weighted) return lines(o.weighted.services, (s) => code(`${s.name} × ${s.weight}`));
  if (o.failover) return lines([o.failover.service, o.failover.fallback], code);
  return "";
}

function age(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 60) return Math.round(seconds) + " s ago";
  if (seconds < 3600) return Math.round(seconds / 60) + " min ago";
  return Math.round(seconds / 3600) + " h ago";
}

function card(label, value, kind) {
  const n = node("div", undefined, "card");
  n.append(node("b", String(value), kind || ""), node("span", label));
  return n;
}

function draw() {
  const { raw, status: st, entrypoints } = latest;
  const e = st.endpoints;
  el("summary").className = "";
  el("summary").textContent =
    `version ${st.version} · snapshot ${st.snapshot} · up ${age(st.uptimeSeconds).replace(" ago", "")} · ` +
    (st.terminating ? "draining" : st.ready ? "ready" : "not ready: " + st.missing.join("; "));
  el("cards").replaceChildren(
    card("routers", Object.keys(raw.routers || {}).length),
    card("services", Object.keys(raw.services || {}).length),
    card("middlewares", Object.keys(raw.middlewares || {}).length),
    card("servers active", e.active),
    card("servers not active", e.joining + e.unhealthy + e.ejected + e.draining),
    card("rejections", st.rejectionsTotal),
  );
  el("rejections-section").hidden = st.rejections.length === 0;
  fill("rejections", st.rejections.filter((r) => wanted(r.key, r)).map((r) =>
    row([tag(r.severity, r.severity === "error" ? "bad" : "warn"), code(r.source), code(r.key), r.message, r.remedy])), 5);
  fill("routers", objects(raw.routers).map(([name, o]) => row([
    status(o.status), [code(name), ...errors(o)], code(o.rule || ""), (o.entryPoints || []).join(", ") + (o.tls ? " (TLS)" : ""),
    lines(o.middlewares, code), code(o.service || ""), o.priority ?? ""])), 7);
  fill("services", objects(raw.services).map(([name, o]) => row([
    status(o.status), [code(name), ...errors(o)], Object.keys(o).find((k) => !own.has(k)) || "internal", servers(o), lines(o.usedBy, code)])), 5);
  fill("middlewares", objects(raw.middlewares).map(([name, o]) => {
    const kind = Object.keys(o).find((k) => !own.has(k)) || "";
    return row([status(o.status), [code(name), ...errors(o)], kind, code(kind ? JSON.stringify(o[kind]) : ""), lines(o.usedBy, code)]);
  }), 5);
  fill("providers", st.providers.map((p) => row([
    tag(p.healthy ? "in touch" : p.synced ? "stale" : "waiting", p.healthy ? "good" : p.synced ? "warn" : "bad"),
    p.name, age(p.stalenessSeconds), p.updates, code(p.revision), p.message])), 6);
  fill("entrypoints", entrypoints.map((p) => row([p.name, code(p.address)])), 2);
}

async function load() {
  const get = async (path) => {
    const response = await fetch("../api/" + path, { cache: "no-store" });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  };
  try {
    const [raw, status, entrypoints] = await Promise.all([get("rawdata"), get("fairlead/status"), get("entrypoints?per_page=1000")]);
    latest = { raw, status, entrypoints };
    draw();
  } catch (e) {
    el("summary").className = "lost";
    el("summary").textContent = `no answer (${e.message}); what is shown may be old`;
  }
  setTimeout(load, EVERY);
}

el("filter").addEventListener("input", () => { if (latest) draw(); });
load();
