// All words of the page, in both languages.
const TEXT = {
  en: {
    views: "Views", files: "Pictures and videos", camera: "Camera",
    drop: "Drop pictures or a video here", dropMore: "or click to choose, or paste", dropAgain: "Add more",
    limits: "Pictures up to {image}, videos up to {video} and {minutes} min",
    before: "Before", after: "After", cancel: "Cancel", view: "Result; plus and minus zoom",
    divider: "Divider between before and after", zoomIn: "Zoom in", zoomOut: "Zoom out", zoomFit: "Fit",
    play: "Play or pause", seek: "Position", list: "Your files",
    background: "Background", transparent: "None", white: "White", black: "Black", green: "Green",
    colour: "Colour", blur: "Blur", picture: "Picture", strength: "Strength",
    model: "Model", outputs: "What to make", mp4: "plays everywhere", webm: "for the web",
    webmClear: "transparent, for the web", prores: "for editing", matte: "Matte",
    matteMore: "black and white", startVideo: "Start", again: "Make it again",
    sending: "Sending", waiting: "Waiting for its turn", matting: "Cutting out", opening: "Getting ready",
    fps: "{fps} frames/s", left: "{time} left", frames: "{frames} of {total} frames", done: "Done",
    ready: "Ready to start", failed: "Did not work", cancelled: "Cancelled", remove: "Remove {name}",
    noPreview: "Your browser cannot play this format; download it instead.",
    choose: "Choose at least one thing to make.",
    start: "Start the camera", stop: "Stop", mirror: "Mirror",
    cameraMore: "Your picture goes to this service only, and is not kept.",
    noCamera: "The camera cannot be used: {why}", insecure: "Browsers give the camera only to https and to this machine itself.",
    numbers: "{fps} frames/s, {ms} ms behind", ended: "The connection has ended: {why}",
    token: "This service needs its token", enter: "Continue", wrongToken: "That is not the token.",
    unreachable: "The service cannot be reached. Is it still running?", people: "people", anything: "anything",
    seconds: "{n} s", minutes: "{n} min", other: "中文",
  },
  zh: {
    views: "视图", files: "图片和视频", camera: "摄像头",
    drop: "把图片或视频拖到这里", dropMore: "也可以点击选择或粘贴", dropAgain: "继续添加",
    limits: "图片不超过 {image}，视频不超过 {video}、{minutes} 分钟",
    before: "原图", after: "结果", cancel: "取消", view: "结果；按加号、减号缩放",
    divider: "前后对比分割线", zoomIn: "放大", zoomOut: "缩小", zoomFit: "适合窗口",
    play: "播放或暂停", seek: "位置", list: "你的文件",
    background: "背景", transparent: "透明", white: "白色", black: "黑色", green: "绿色",
    colour: "颜色", blur: "虚化", picture: "图片", strength: "强度",
    model: "模型", outputs: "输出", mp4: "到处都能播放", webm: "适合网页",
    webmClear: "透明，适合网页", prores: "适合剪辑", matte: "蒙版",
    matteMore: "黑白", startVideo: "开始", again: "重新生成",
    sending: "正在上传", waiting: "排队中", matting: "正在抠像", opening: "准备中",
    fps: "{fps} 帧/秒", left: "剩余 {time}", frames: "{frames} / {total} 帧", done: "完成",
    ready: "可以开始", failed: "没有成功", cancelled: "已取消", remove: "移除 {name}",
    noPreview: "浏览器无法播放这种格式，请下载查看。",
    choose: "请至少选择一种输出。",
    start: "打开摄像头", stop: "停止", mirror: "镜像",
    cameraMore: "画面只发送到本服务，不会保存。",
    noCamera: "无法使用摄像头：{why}", insecure: "浏览器只允许 https 页面或本机使用摄像头。",
    numbers: "{fps} 帧/秒，延迟 {ms} 毫秒", ended: "连接已断开：{why}",
    token: "请输入本服务的令牌", enter: "继续", wrongToken: "令牌不对。",
    unreachable: "无法连接服务，它还在运行吗？", people: "人物", anything: "任意物体",
    seconds: "{n} 秒", minutes: "{n} 分钟", other: "English",
  },
};

const stored = localStorage.getItem("language");
let language = stored in TEXT ? stored : navigator.language.startsWith("zh") ? "zh" : "en";

export function t(key, values = {}) {
  return TEXT[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
}

export function otherLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem("language", language);
}
