// The browser's own camera, matted live over a WebSocket.
import { settings } from "./settings.js";
import { t } from "./text.js";

const $ = (id) => document.getElementById(id);
const own = $("own"), canvas = $("live"), words = $("live-words");
const SIDE = 640, AHEAD = 2;
let socket = null, stream = null, sent = new Map(), count = 0, shown = [], timer = 0;

export const running = () => socket !== null;

export async function start() {
  if (!navigator.mediaDevices) return say(t("noCamera", { why: t("insecure") }));
  $("live-start").disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 } } });
  } catch (e) {
    return say(t("noCamera", { why: e.message }));
  } finally {
    $("live-start").disabled = false;
  }
  own.srcObject = stream;
  await own.play();
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
  socket.binaryType = "blob";
  sent = new Map(); count = 0; shown = [];
  let answer = null;
  socket.onopen = async () => { await configure(); pump(); };
  socket.onmessage = async (e) => {
    if (typeof e.data === "string") {
      answer = JSON.parse(e.data);
      if (answer.error) { say(answer.error.detail); answer = null; sent.clear(); }
      return;
    }
    const begin = sent.get(answer.frame);
    for (const number of sent.keys()) if (number <= answer.frame) sent.delete(number);
    const picture = await createImageBitmap(e.data);
    if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(picture, 0, 0);
    picture.close();
    canvas.hidden = false;
    words.hidden = true;
    const now = performance.now();
    shown = [...shown.filter((at) => now - at < 2000), now];
    const fps = shown.length > 1 ? (shown.length - 1) / (now - shown[0]) * 1000 : 0;
    if (begin) $("live-numbers").textContent = t("numbers", { fps: fps.toFixed(1), ms: Math.round(now - begin) });
  };
  socket.onclose = (e) => { if (socket) { stop(); say(t("ended", { why: e.reason || e.code })); } };
  $("live-start").textContent = t("stop");
}

export async function configure() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const given = settings();
  const message = { model: given.model, background: given.background, format: given.background === "transparent" && !given.file ? "webp" : "jpg" };
  if (given.file) {
    message.background_file = await new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.readAsDataURL(given.file);
    });
  }
  words.hidden = !canvas.hidden;
  socket.send(JSON.stringify(message));
}

const grab = document.createElement("canvas");
async function pump() {
  clearTimeout(timer);
  if (!socket) return;
  if (socket.readyState === WebSocket.OPEN && sent.size < AHEAD && own.videoWidth) {
    const scale = Math.min(1, SIDE / Math.max(own.videoWidth, own.videoHeight));
    grab.width = Math.round(own.videoWidth * scale);
    grab.height = Math.round(own.videoHeight * scale);
    grab.getContext("2d").drawImage(own, 0, 0, grab.width, grab.height);
    const begin = performance.now();
    const jpeg = await new Promise((done) => grab.toBlob(done, "image/jpeg", 0.85));
    if (socket?.readyState === WebSocket.OPEN && jpeg) { sent.set(count++, begin); socket.send(jpeg); }
  }
  timer = setTimeout(pump, 15);
}

export function stop() {
  const closing = socket;
  socket = null;
  closing?.close();
  for (const track of stream?.getTracks() || []) track.stop();
  stream = own.srcObject = null;
  canvas.hidden = true;
  words.hidden = false;
  words.textContent = t("cameraMore");
  $("live-numbers").textContent = "";
  $("live-start").textContent = t("start");
}

function say(text) {
  words.textContent = text;
  words.hidden = false;
}

$("live-start").onclick = () => running() ? stop() : start();
$("mirror").onchange = () => canvas.classList.toggle("mirror", $("mirror").checked);
