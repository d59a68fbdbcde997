// The stage: before and after with a divider, zoom, and a player that keeps two videos together.
import { t } from "./text.js";

const $ = (id) => document.getElementById(id);
const view = $("view"), divider = $("divider"), layers = view.querySelector(".layers");
const before = view.querySelector(".before"), after = view.querySelector(".after");
const MOST = 12;
let zoom = 1, x = 0, y = 0, split = 50, videos = [];

function apply() {
  const w = view.clientWidth, h = view.clientHeight;
  x = Math.min(0, Math.max(w * (1 - zoom), x));
  y = Math.min(0, Math.max(h * (1 - zoom), y));
  layers.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
  $("zoom-fit").textContent = `${Math.round(zoom * 100)} %`;
  divider.style.left = `${split}%`;
  divider.setAttribute("aria-valuenow", Math.round(split));
  // In the layers' own coordinates, so that the divider stays put while the picture moves.
  const edge = (split / 100 * w - x) / zoom;
  const both = !divider.hidden;
  after.style.clipPath = both ? `inset(0 0 0 ${edge}px)` : "none";
  before.style.clipPath = both ? `inset(0 ${w - edge}px 0 0)` : "none";
}

function setZoom(value, cx = view.clientWidth / 2, cy = view.clientHeight / 2) {
  const next = Math.min(MOST, Math.max(1, value));
  x = cx - (cx - x) * next / zoom;
  y = cy - (cy - y) * next / zoom;
  zoom = next;
  apply();
}

function setSplit(value) {
  split = Math.min(100, Math.max(0, value));
  apply();
}

divider.addEventListener("keydown", (e) => {
  const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
  if (!(e.key in steps)) return;
  e.preventDefault();
  e.stopPropagation();
  setSplit(split + steps[e.key]);
});
divider.addEventListener("pointerdown", (e) => {
  e.stopPropagation();
  divider.setPointerCapture(e.pointerId);
});
divider.addEventListener("pointermove", (e) => {
  if (!divider.hasPointerCapture(e.pointerId)) return;
  const box = view.getBoundingClientRect();
  setSplit((e.clientX - box.left) / box.width * 100);
});

const fingers = new Map();
view.addEventListener("pointerdown", (e) => {
  if (e.target.closest("button")) return;
  fingers.set(e.pointerId, e);
  view.setPointerCapture(e.pointerId);
});
view.addEventListener("pointermove", (e) => {
  const last = fingers.get(e.pointerId);
  if (!last) return;
  if (fingers.size === 2) {
    const other = [...fingers.values()].find((f) => f.pointerId !== e.pointerId);
    const far = (f) => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY);
    const box = view.getBoundingClientRect();
    setZoom(zoom * far(e) / Math.max(1, far(last)), (e.clientX + other.clientX) / 2 - box.left, (e.clientY + other.clientY) / 2 - box.top);
  } else {
    x += e.clientX - last.clientX;
    y += e.clientY - last.clientY;
    apply();
  }
  fingers.set(e.pointerId, e);
});
for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (e) => fingers.delete(e.pointerId));
view.addEventListener("wheel", (e) => {
  e.preventDefault();
  const box = view.getBoundingClientRect();
  setZoom(zoom * Math.exp(-e.deltaY / 400), e.clientX - box.left, e.clientY - box.top);
}, { passive: false });
view.addEventListener("keydown", (e) => {
  const arrows = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  if (e.key === "+" || e.key === "=") setZoom(zoom * 1.4);
  else if (e.key === "-") setZoom(zoom / 1.4);
  else if (e.key === "0") setZoom(1);
  else if (e.key in arrows) { x += arrows[e.key][0]; y += arrows[e.key][1]; apply(); }
  else if (e.key === " " && videos.length) toggle();
  else return;
  e.preventDefault();
});
$("zoom-in").onclick = () => setZoom(zoom * 1.4);
$("zoom-out").onclick = () => setZoom(zoom / 1.4);
$("zoom-fit").onclick = () => setZoom(1);
new ResizeObserver(() => { place(); apply(); }).observe(view);

// What lies behind a transparent result is painted by the browser, just within the picture's frame.
let behind = null, aspect = 0;
function place() {
  if (!behind || !aspect) return;
  const w = view.clientWidth, h = view.clientHeight;
  const width = Math.min(w, h * aspect), height = width / aspect;
  Object.assign(behind.style, { width: `${width}px`, height: `${height}px`, left: `${(w - width) / 2}px`, top: `${(h - height) / 2}px` });
}

function element(kind, url) {
  const node = document.createElement(kind);
  const tell = () => { aspect = (node.naturalWidth || node.videoWidth) / (node.naturalHeight || node.videoHeight); place(); };
  node.addEventListener(kind === "img" ? "load" : "loadedmetadata", tell);
  if (kind === "video") Object.assign(node, { muted: true, playsInline: true, loop: false, preload: "auto" });
  else node.alt = "";
  node.src = url;
  return node;
}

// shown: {kind: img|video, before: url or null, after: url or null, colour, picture, key}
let shownKey = null;
export function show(shown) {
  const paint = () => {
    if (!behind) return;
    behind.style.backgroundColor = shown.colour || "transparent";
    behind.style.backgroundImage = shown.picture ? `url("${shown.picture}")` : "none";
  };
  const key = JSON.stringify([shown.kind, shown.before, shown.after]);
  if (key === shownKey) return paint();
  const fresh = !shownKey || JSON.parse(shownKey)[1] !== shown.before;
  shownKey = key;
  stop();
  before.replaceChildren(...(shown.before ? [element(shown.kind, shown.before)] : []));
  after.replaceChildren();
  behind = null;
  if (shown.after) {
    behind = document.createElement("div");
    behind.className = "behind";
    after.append(behind, element(shown.kind, shown.after));
  }
  paint();
  const both = Boolean(shown.before && shown.after);
  divider.hidden = !both;
  for (const tag of view.querySelectorAll(".tag")) tag.hidden = !both;
  if (fresh) { zoom = 1; x = y = 0; split = 50; }
  videos = [...view.querySelectorAll(".layer video")];
  if (videos.length) follow(shown);
  $("player").hidden = !videos.length;
  apply();
}

export function clear() {
  show({ kind: "img", before: null, after: null });
}

function follow(shown) {
  const [first, ...rest] = videos.toReversed();  // the result leads
  first.onerror = () => shown.unplayable?.();
  for (const other of rest) other.onerror = () => { // the browser cannot read what was uploaded
    divider.hidden = true;
    for (const tag of view.querySelectorAll(".tag")) tag.hidden = true;
    apply();
  };
  first.ontimeupdate = () => {
    $("seek").value = first.duration ? first.currentTime / first.duration * 1000 : 0;
    for (const other of rest) if (Math.abs(other.currentTime - first.currentTime) > 0.06) other.currentTime = first.currentTime;
  };
  first.onplay = first.onpause = () => { $("play").textContent = first.paused ? "▶" : "❚❚"; };
  first.onended = () => { for (const v of videos) v.pause(); };
  $("seek").oninput = () => { for (const v of videos) v.currentTime = $("seek").value / 1000 * (first.duration || 0); };
}

function toggle() {
  const paused = videos.at(-1).paused;
  for (const v of videos) paused ? v.play().catch(() => {}) : v.pause();
}
$("play").onclick = toggle;

export function stop() {
  for (const v of videos) { v.pause(); v.removeAttribute("src"); v.load(); }
  videos = [];
}

export function busy(words, share, more, onCancel) {
  const box = $("busy");
  box.hidden = words === null;
  if (words === null) return;
  $("busy-words").textContent = words;
  if (share === null) $("bar").removeAttribute("value"); else $("bar").value = share * 100;
  $("busy-more").textContent = more || "";
  $("cancel").hidden = !onCancel;
  $("cancel").onclick = onCancel;
}

export const time = (s) => s < 90 ? t("seconds", { n: Math.max(1, Math.round(s)) }) : t("minutes", { n: Math.round(s / 60) });
