// Files: taken, sent, shown, downloaded. One item a file; the panel's settings go for all.
import * as api from "./api.js";
import * as camera from "./camera.js";
import { changed, draw as drawSettings, offer, settings } from "./settings.js";
import { otherLanguage, t, translate } from "./text.js";
import * as viewer from "./viewer.js";

const $ = (id) => document.getElementById(id);
const items = [];
let current = null;

// An item: {name, kind, file, before, after, state, share, more, error, key, job, stop}.
function add(file) {
  const video = file.type.startsWith("video/") || /\.(mkv|mov|avi|ts|mxf|flv)$/i.test(file.name);
  const item = { name: file.name, kind: video ? "video" : "img", file, before: URL.createObjectURL(file), after: null, state: video ? "ready" : "waiting" };
  items.push(item);
  select(item);
  if (!video) makePicture(item);
}

function take(files) {
  for (const file of files) add(file);
}

// What a result depends on: colours and pictures are painted behind a transparent one.
const pictureKey = () => { const s = settings(); return JSON.stringify([s.model, s.blur ? s.background : "transparent"]); };
const videoKey = () => { const s = settings(); return JSON.stringify([s.model, s.background, s.file?.name, s.file?.size, s.outputs]); };

let turn = Promise.resolve();
async function makePicture(item) {
  item.stop?.abort();
  const stop = item.stop = new AbortController();
  Object.assign(item, { state: "waiting", key: pictureKey(), error: null });
  refresh();
  // Three at a time: browsers open six connections, and progress needs some.
  const before = turn;
  let free;
  const slot = new Promise((go) => { free = go; });
  lanes.push(slot);
  turn = Promise.race(lanes.slice(-3));
  if (lanes.length > 3) await before;
  try {
    stop.signal.throwIfAborted();
    Object.assign(item, { state: "matting", share: null });
    refresh();
    const s = settings();
    const blob = await api.cutOut({ file: item.file, model: s.model, background: s.blur ? s.background : "transparent" }, stop.signal);
    if (item.after) URL.revokeObjectURL(item.after);
    Object.assign(item, { blob, after: URL.createObjectURL(blob), state: "done" });
  } catch (e) {
    if (e.name !== "AbortError") Object.assign(item, { state: "failed", error: e.message });
    else if (item.stop === stop) item.state = "cancelled";
  } finally {
    free();
    lanes.splice(lanes.indexOf(slot), 1);
    refresh();
  }
}
const lanes = [];

async function makeVideo(item) {
  const s = settings();
  if (!s.outputs.length) return notice(t("choose"));
  const stop = item.stop = new AbortController();
  Object.assign(item, { state: "sending", share: 0, more: "", error: null, after: null, key: videoKey(), job: null });
  refresh();
  try {
    const fields = { background: s.background, model: s.model, outputs: s.outputs.join(","), background_file: s.file, file: item.file };
    const job = await api.upload(fields, (share) => { item.share = share; refresh(); }, stop.signal);
    watch(item, job);
  } catch (e) {
    Object.assign(item, e.name === "AbortError" ? { state: "cancelled" } : { state: "failed", error: e.message });
    refresh();
  }
}

function watch(item, job) {
  const learn = (told) => {
    item.job = told;
    const p = told.progress;
    item.state = { queued: "waiting", running: p?.frames ? "matting" : "opening" }[told.state] || told.state;
    item.share = p?.total ? p.frames / p.total : null;
    item.more = p?.frames ? [
      t("frames", { frames: p.frames, total: p.total ?? "?" }), t("fps", { fps: p.fps.toFixed(1) }),
      p.left !== null ? t("left", { time: viewer.time(p.left) }) : "",
    ].filter(Boolean).join(" · ") : "";
    item.error = told.error?.detail || null;
    if (told.state === "done") item.after = playable(told);
    refresh();
  };
  learn(job);
  if (["queued", "running"].includes(job.state)) item.source = api.follow(job.id, learn);
}

function playable(job) {
  const found = ["mp4", "webm", "alpha"].map((kind) => job.results.find((r) => r.kind === kind)).find(Boolean);
  return found ? found.url : null;
}

function cancel(item) {
  item.stop?.abort();
  if (item.job && ["queued", "running"].includes(item.job.state)) {
    item.source?.close();
    api.call(`/api/jobs/${item.job.id}`, { method: "DELETE" }).catch((e) => notice(e.message));
    item.job.state = item.state = "cancelled";
  }
  refresh();
}

function remove(item) {
  const ended = item.job && !["queued", "running"].includes(item.job.state);
  if (ended) api.call(`/api/jobs/${item.job.id}`, { method: "DELETE" }).catch(() => {});
  else cancel(item);
  items.splice(items.indexOf(item), 1);
  for (const url of [item.before, item.kind === "img" && item.after]) if (url) URL.revokeObjectURL(url);
  if (current === item) select(items.at(-1) || null);
  else refresh();
}

function select(item) {
  current = item;
  refresh();
}

const working = (item) => ["sending", "waiting", "opening", "matting"].includes(item.state);

function refresh() {
  $("work").hidden = !items.length;
  $("drop").classList.toggle("small", items.length > 0);
  $("drop").querySelector("[data-t=drop], [data-t=dropAgain]").dataset.t = items.length ? "dropAgain" : "drop";
  $("drop").querySelector("strong").textContent = t(items.length ? "dropAgain" : "drop");
  drawList();
  const item = current, video = item?.kind === "video";
  $("outputs").hidden = !video || !item.file || $("files").hidden;
  $("start").disabled = !item || working(item);
  $("start").textContent = t(item?.after || item?.error ? "again" : "startVideo");
  notice(item?.error || (item?.state === "done" && !item.after ? t("noPreview") : null));
  if (!item) { viewer.busy(null); viewer.clear(); $("downloads").replaceChildren(); return; }
  const s = settings(), paint = item.kind === "img" && item.after && !s.blur;
  viewer.show({
    kind: item.kind, before: item.before, after: item.after, colour: paint ? s.colour : null, picture: paint ? s.picture : null,
    unplayable: () => notice(t("noPreview")),
  });
  if (working(item)) viewer.busy(t(item.state), item.share ?? null, item.more, () => cancel(item));
  else viewer.busy(null);
  drawDownloads(item);
}

function drawList() {
  const list = $("list");
  const nodes = items.map((item) => {
    item.node ||= itemNode(item);
    const button = item.node.querySelector(".item");
    button.setAttribute("aria-current", item === current);
    button.classList.toggle("failed", item.state === "failed");
    const share = item.state === "matting" || item.state === "sending" ? item.share : null;
    item.node.querySelector(".words span").textContent = t(item.state) + (share ? ` ${Math.round(share * 100)} %` : "");
    item.node.querySelector(".remove").setAttribute("aria-label", t("remove", { name: item.name }));
    return item.node;
  });
  if (nodes.length !== list.children.length || nodes.some((n, i) => list.children[i] !== n)) list.replaceChildren(...nodes);
}

function itemNode(item) {
  const node = document.createElement("li");
  node.innerHTML = '<button class="item"><span class="words"><b></b><span></span></span></button><button class="remove">×</button>';
  // A video of an earlier visit is not here any more.
  const thumb = document.createElement(!item.before ? "span" : item.kind === "img" ? "img" : "video");
  thumb.className = "thumb";
  if (item.before) thumb.src = item.before; else thumb.textContent = "▶";
  if (thumb.tagName === "VIDEO") { thumb.muted = true; thumb.preload = "metadata"; } else thumb.alt = "";
  node.querySelector(".item").prepend(thumb);
  node.querySelector("b").textContent = node.querySelector("b").title = item.name;
  node.querySelector(".item").onclick = () => select(item);
  node.querySelector(".remove").onclick = () => remove(item);
  return node;
}

function drawDownloads(item) {
  const box = $("downloads");
  const wanted = item.state !== "done" ? [] : item.kind === "img"
    ? ["png", "webp", "matte"] : item.job.results.map((r) => r.kind);
  const key = `${items.indexOf(item)} ${wanted} ${item.job?.id} ${document.documentElement.lang}`;
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const words = (kind) => ({ png: "PNG", webp: "WebP", mp4: "MP4", webm: "WebM", prores: "ProRes" })[kind] || t("matte");
  box.replaceChildren(...wanted.map((kind, i) => {
    const link = document.createElement(item.kind === "img" ? "button" : "a");
    link.textContent = `↓ ${words(kind)}`;
    link.dataset.download = kind;
    if (!i) link.classList.add("primary");
    if (item.kind === "img") link.onclick = () => downloadPicture(item, kind, link);
    else Object.assign(link, { href: item.job.results[i].url, download: "" });
    return link;
  }));
}

async function downloadPicture(item, kind, button) {
  button.disabled = true;
  try {
    const s = settings();
    const format = kind === "webp" ? "webp" : "png";
    const fields = kind === "matte" ? { output: "alpha" } : { background: s.background, background_file: s.file };
    const blob = kind === "png" && (s.clear || s.blur)
      ? item.blob
      : await api.cutOut({ file: item.file, model: s.model, format, ...fields });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${item.name.replace(/\.[^.]*$/, "")}-${kind === "matte" ? "matte" : "cutout"}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (e) {
    notice(e.message);
  } finally {
    button.disabled = false;
  }
}

function notice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text || "";
}

changed(() => {
  for (const item of items) if (item.kind === "img" && item.file && item.key !== pictureKey()) makePicture(item);
  camera.configure();
  refresh();
});
$("start").onclick = () => makeVideo(current);
$("pick").onchange = () => { take($("pick").files); $("pick").value = ""; };
addEventListener("paste", (e) => take(e.clipboardData.files));
addEventListener("dragover", (e) => { e.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", (e) => { if (!e.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", (e) => { e.preventDefault(); document.body.classList.remove("over"); openTab("files"); take(e.dataTransfer.files); });

function openTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const on = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !on;
  }
  if (name === "camera") $("outputs").hidden = true;
  else { camera.stop(); refresh(); }
}
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.onclick = () => openTab(tab.id.slice(4));
  tab.onkeydown = (e) => {
    if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    const other = document.querySelector("[role=tab]:not([aria-selected=true])");
    other.click();
    other.focus();
  };
}

let limits = null;
function words() {
  translate();
  $("language").textContent = t("other");
  if (limits) {
    $("limits").textContent = t("limits", {
      image: size(limits.image_bytes), video: size(limits.video_bytes), minutes: Math.round(limits.duration / 60),
    });
  }
  drawSettings();
}
const size = (n) => n >= 2 ** 30 ? `${Math.round(n / 2 ** 30)} GB` : `${Math.round(n / 2 ** 20)} MB`;
$("language").onclick = () => { otherLanguage(); words(); $("downloads").dataset.key = ""; refresh(); };

async function begin() {
  words();
  refresh();
  try {
    const told = await api.get("/api/models");
    limits = told.limits;
    offer(told.models);
    words();
    for (const job of (await api.get("/api/jobs")).jobs.reverse()) {
      if (job.state === "cancelled") continue;
      const item = { name: job.name || job.id, kind: "video", file: null, before: null, after: null, state: "waiting" };
      items.push(item);
      watch(item, job);
    }
    if (!current && items.length) select(items.at(-1));
  } catch (e) {
    if (e.status !== 401) return notice(e.message);
    const hidden = new URLSearchParams(location.hash.slice(1)).get("token");
    history.replaceState(null, "", location.pathname);
    login(hidden);
  }
}

async function login(token) {
  if (token === null) {
    $("login").showModal();
    return;
  }
  try {
    const body = JSON.stringify({ token });
    await api.call("/api/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    $("login").close();
    begin();
  } catch (e) {
    if (!$("login").open) $("login").showModal();
    $("login-words").hidden = false;
    $("login-words").textContent = e.status === 401 ? t("wrongToken") : e.message;
  }
}
$("login").querySelector("form").onsubmit = (e) => { e.preventDefault(); login($("token").value); };
$("login").oncancel = (e) => e.preventDefault();

begin();
