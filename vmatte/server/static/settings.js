// The panel: what is put behind, by which model, and what is made of a video.
import { t } from "./text.js";

const $ = (id) => document.getElementById(id);
const PAINT = { transparent: null, white: "#ffffff", black: "#000000", green: "#00b140", colour: null, blur: null, picture: null };
const ICONS = {
  blur: '<svg viewBox="0 0 24 24"><circle cx="12" cy="12" r="3"/><circle cx="12" cy="12" r="6.5" stroke-dasharray="2 2.6"/><circle cx="12" cy="12" r="10" stroke-dasharray="1 3.4"/></svg>',
  picture: '<svg viewBox="0 0 24 24"><rect x="3" y="4.500" width="18" height="15" rx="2"/><circle cx="8.500" cy="9.500" r="1.500"/><path d="m3.500 17 5-4.500 3.500 3 4.500-4.500 4 4"/></svg>',
};
let chosen = "transparent", file = null, fileUrl = null, models = [];
const listeners = [];

export const changed = (listener) => listeners.push(listener);
const tell = () => { for (const listener of listeners) listener(); };

// background: as the service takes it; file: a picture to put behind; colour, picture: for the preview.
export function settings() {
  const colour = chosen === "colour" ? $("colour").value : PAINT[chosen];
  const background = chosen === "blur" ? `blur:${$("radius").value}` : colour || "transparent";
  const own = chosen === "picture" ? file : null;
  return {
    model: $("model").value, background, blur: chosen === "blur", file: own, colour,
    picture: own && fileUrl, clear: background === "transparent" && !own,
    outputs: [...document.querySelectorAll("#outputs input:checked")].filter((i) => !i.closest("label").hidden).map((i) => i.value),
  };
}

export function draw() {
  const box = $("backgrounds");
  const focused = document.activeElement?.dataset?.background;
  box.replaceChildren(...Object.keys(PAINT).map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.background = name;
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", name === chosen);
    button.tabIndex = name === chosen ? 0 : -1;
    const paint = document.createElement("i");
    if (name === "transparent") paint.className = "checker";
    if (ICONS[name] && !(name === "picture" && fileUrl)) paint.innerHTML = ICONS[name];
    if (name === "picture" && fileUrl) paint.style.backgroundImage = `url("${fileUrl}")`;
    const colour = name === "colour" ? $("colour").value : PAINT[name];
    if (colour) paint.style.backgroundColor = colour;
    button.append(paint, t(name));
    button.onclick = () => choose(name, true);
    return button;
  }));
  if (focused) box.querySelector(`[data-background=${focused}]`)?.focus();
  $("blur-row").hidden = chosen !== "blur";
  const { clear } = settings();
  for (const label of document.querySelectorAll("[data-for]")) label.hidden = (label.dataset.for === "clear") !== clear;
  document.querySelector("[data-t^=webm]").dataset.t = clear ? "webmClear" : "webm";
  document.querySelector("[data-t^=webm]").textContent = t(clear ? "webmClear" : "webm");
  // Chosen for the user, and given up again with the background that needed it.
  for (const input of document.querySelectorAll("#outputs [data-auto]")) if (!clear) { input.checked = false; delete input.dataset.auto; }
  if (!settings().outputs.length) {
    const input = document.querySelector(`#outputs input[value=${clear ? "webm" : "mp4"}]`);
    input.checked = true;
    if (clear) input.dataset.auto = "";
  }
  const model = models.find((m) => m.name === $("model").value);
  $("model-words").textContent = model ? `${t(model.people_only ? "people" : "anything")} · ${model.licence}` : "";
}

function choose(name, clicked) {
  if (name === "picture" && (!file || clicked && chosen === "picture")) return $("picture").click();
  if (name === "colour" && clicked) $("colour").click();
  chosen = name;
  draw();
  tell();
}

$("backgrounds").addEventListener("keydown", (e) => {
  const names = Object.keys(PAINT), at = names.indexOf(e.target.dataset.background);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
  if (!step || at < 0) return;
  e.preventDefault();
  const next = names[(at + step + names.length) % names.length];
  document.querySelector(`[data-background=${next}]`).focus();
  if (next !== "picture" || file) choose(next, false);
});
$("colour").oninput = () => { chosen = "colour"; draw(); tell(); };
$("picture").onchange = () => {
  if (!$("picture").files.length) return;
  file = $("picture").files[0];
  if (fileUrl) URL.revokeObjectURL(fileUrl);
  fileUrl = URL.createObjectURL(file);
  choose("picture", false);
};
$("radius").onchange = tell;
$("outputs").onchange = (e) => { delete e.target.dataset.auto; };
$("model").onchange = () => { draw(); tell(); };

export function offer(found) {
  models = found;
  $("model").replaceChildren(...found.map((m) => new Option(m.name, m.name, m.default, m.default)));
  draw();
}
