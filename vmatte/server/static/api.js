// The service, as the page uses it.
import { t } from "./text.js";

export class Refused extends Error {
  constructor(status, text, retry = 0) { super(text); this.status = status; this.retry = retry; }
}

async function problem(response) {
  let text = response.statusText;
  try { text = (await response.json()).detail || text; } catch { /* not a document */ }
  return new Refused(response.status, text, Number(response.headers.get("Retry-After")) || 0);
}

export async function call(path, options) {
  let response;
  try { response = await fetch(path, options); } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Refused(0, t("unreachable"));
  }
  if (!response.ok) throw await problem(response);
  return response;
}

export const get = async (path) => (await call(path)).json();

// A picture that is refused because others are before it comes again a little later.
export async function cutOut(fields, signal) {
  for (let tries = 0; ; tries++) {
    try {
      return await (await call("/api/images", { method: "POST", body: form(fields), signal })).blob();
    } catch (e) {
      if (e.status !== 429 || tries > 40) throw e;
      await new Promise((go) => setTimeout(go, (e.retry || 1) * 1000 * (1 + Math.random())));
      signal?.throwIfAborted();
    }
  }
}

export function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null && value !== "") data.append(name, value);
  }
  return data;
}

// XMLHttpRequest, for fetch does not tell how much of an upload is sent.
export function upload(fields, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/jobs");
    request.responseType = "json";
    request.upload.onprogress = (e) => e.lengthComputable && onProgress(e.loaded / e.total);
    request.onload = () => request.status === 202
      ? resolve(request.response)
      : reject(new Refused(request.status, request.response?.detail || request.statusText));
    request.onerror = () => reject(new Refused(0, t("unreachable")));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form(fields));
  });
}

// EventSource connects again by itself, over a restart of the service too.
export function follow(id, onJob) {
  const source = new EventSource(`/api/jobs/${id}/events`);
  source.addEventListener("job", (e) => {
    const job = JSON.parse(e.data);
    if (!["queued", "running"].includes(job.state)) source.close();
    onJob(job);
  });
  return source;
}
