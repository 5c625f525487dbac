"use strict";

const WORDS = {
  en: {
    title: "eyas: what is in the picture?", skip: "Skip to the answer", picture: "Picture", answer: "Answer",
    drop: "Drop a picture here", paste: "or paste one from the clipboard", release: "Let go to ask",
    choose: "Choose a picture", another: "Another picture", camera: "Use the camera", take: "Take the picture",
    leave: "Cancel", looks: "Where it looks", waiting: "Looking ...", unsure: "The network is not sure.",
    examples: "Or try one of these", kept: "Pictures are answered from memory; none is kept.", api: "The API",
    model: (name, count) => `${name} · ${count} classes`, knows: (count) => `It tells ${count} classes apart`,
    more: (count) => `Show ${count} more`, fewer: "Show fewer", all: (count) => `Show all ${count}`,
    said: (label, share) => `Most likely: ${label}, ${share}.`, of: (label) => `Your picture; most likely ${label}`,
    map: (label) => `The picture with what speaks for ${label} lit up`, example: (number) => `Example ${number}`,
    labelled: (label) => `Example: ${label}`, preprocessing: (text) => `Prepared: ${text}`, yours: "Your picture",
    no_map: "This network has no map of where it looks.", no_camera: "The camera cannot be used: there is none, or it was not allowed.",
    not_a_picture: "That is no picture.", offline: "The server does not answer. Is it still running?",
    too_large: (mb) => `The picture is too large: up to ${mb} MB are taken.`,
    too_many_requests: "Too many questions at once from here. Try again when one is answered.",
    busy: "The server has too much to do just now. Try again in a moment.", stopping: "The server is stopping.",
    too_late: "It took too long. Try again in a moment.", too_slow: "The picture did not arrive in time. Is the connection slow?",
    unknown_kind: "This is not a kind of picture that is read here. Try a JPEG or a PNG.",
    unreadable: "The picture cannot be read.", failed: "The server failed. Its log says why.",
    other: "That did not work.",
  },
  zh: {
    title: "eyas：图里是什么？", skip: "跳到结果", picture: "图片", answer: "结果",
    drop: "把图片拖到这里", paste: "也可以从剪贴板粘贴", release: "松开即可识别",
    choose: "选择图片", another: "换一张图片", camera: "使用相机", take: "拍照",
    leave: "取消", looks: "它看哪里", waiting: "正在识别……", unsure: "模型不太确定。",
    examples: "或者试试这些", kept: "图片只在内存中处理，不会保存。", api: "接口说明",
    model: (name, count) => `${name} · ${count} 类`, knows: (count) => `它能分辨 ${count} 个类别`,
    more: (count) => `再显示 ${count} 个`, fewer: "收起", all: (count) => `显示全部 ${count} 个`,
    said: (label, share) => `最可能是 ${label}，${share}。`, of: (label) => `你的图片；最可能是 ${label}`,
    map: (label) => `图片，支持“${label}”的地方被点亮`, example: (number) => `示例 ${number}`,
    labelled: (label) => `示例：${label}`, preprocessing: (text) => `预处理：${text}`, yours: "你的图片",
    no_map: "这个网络没有可显示的关注图。", no_camera: "无法使用相机：没有相机，或没有得到允许。",
    not_a_picture: "这不是图片。", offline: "服务器没有回应。它还在运行吗？",
    too_large: (mb) => `图片太大：最多 ${mb} MB。`,
    too_many_requests: "来自这里的请求太多。请等一个完成后再试。",
    busy: "服务器现在太忙，请稍后再试。", stopping: "服务器正在停止。",
    too_late: "处理时间太长，请稍后再试。", too_slow: "图片没有及时传到。网络是不是太慢？",
    unknown_kind: "这里不能读取这种图片。请试试 JPEG 或 PNG。",
    unreadable: "无法读取这张图片。", failed: "服务器出错，原因在它的日志里。",
    other: "没有成功。",
  },
};
const FEW = 5, SOME = 24;
const $ = (id) => document.getElementById(id);
const state = { language: "en", about: null, answer: null, problem: null, open: false, allClasses: false, asking: null, address: null };

/* Words */

function say(key, ...values) {
  const words = WORDS[state.language][key];
  return typeof words === "function" ? words(...values) : words;
}

function remembered() {
  try { return localStorage.getItem("language"); } catch { return null; }
}

function speak(language) {
  state.language = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  $("language").textContent = language === "zh" ? "English" : "中文";
  $("language").lang = language === "zh" ? "en" : "zh";
  showAbout();
  showAnswer();
  showProblem();
}

function percent(share) {
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return share > 0 && share < 0.0005 ? `< ${format.format(0.001)}` : format.format(share);
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/* What answers here */

function showAbout() {
  const about = state.about;
  if (!about) return;
  const count = about.classes.length;
  $("model").textContent = say("model", about.model, count);
  $("knows").textContent = say("knows", count);
  $("preprocessing").textContent = say("preprocessing", about.preprocessing);
  const shown = state.allClasses ? about.classes : about.classes.slice(0, SOME);
  $("classes").replaceChildren(...shown.map((name) => element("li", "", name)));
  $("all").hidden = count <= SOME;
  $("all").textContent = state.allClasses ? say("fewer") : say("all", count);
  $("all").setAttribute("aria-expanded", String(state.allClasses));
  $("examples").hidden = !about.examples.length;
  $("tries").replaceChildren(...about.examples.map(example));
}

function example(one, place) {
  const item = element("li"), button = element("button"), picture = element("img");
  button.type = "button";
  picture.src = one.address;
  picture.alt = "";
  button.append(picture, element("span", "", one.label ?? say("example", place + 1)));
  button.setAttribute("aria-label", one.label === null ? say("example", place + 1) : say("labelled", one.label));
  button.addEventListener("click", async () => {
    try {
      ask(await (await fetch(one.address)).blob());
    } catch {
      complain({ code: "offline" });
    }
  });
  item.append(button);
  return item;
}

/* Asking */

async function ask(file) {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  Object.assign(state, { answer: null, problem: null, open: false });
  showPicture(file);
  showProblem();
  showAnswer();
  if (file.type && !file.type.startsWith("image/")) return complain({ code: "not_a_picture" });
  $("waiting").hidden = false;
  const problem = await answered(file, asking.signal);
  if (asking !== state.asking) return;
  $("waiting").hidden = true;
  if (problem) return complain(problem);
  showAnswer();
  $("said").textContent = say("said", state.answer.label, percent(state.answer.probability));
}

/* Ask the server: sets the answer, or returns the problem. */
async function answered(file, signal) {
  const most = state.about?.limits.max_mb;
  if (most && file.size > most * 1e6) return { code: "too_large" };
  const form = new FormData(), top = Math.min(20, state.about?.classes.length ?? 1);
  form.append("file", file, file.name || "picture");
  try {
    const response = await fetch(`predict?top=${top}&heatmap=true`, { method: "POST", body: form, signal });
    const body = await response.json();
    if (!response.ok) return body.error;
    state.answer = body.answers[0];
    return null;
  } catch {
    return { code: "offline" };
  }
}

const NO_PICTURE = ["unreadable", "unknown_kind", "not_a_picture"];

function complain(problem) {
  $("waiting").hidden = true;
  if (NO_PICTURE.includes(problem.code)) invite();
  state.problem = problem;
  showProblem();
}

function showProblem() {
  const problem = state.problem;
  $("problem").hidden = !problem;
  if (!problem) return $("problem").replaceChildren();
  const known = problem.code in WORDS.en;
  const parts = [element("p", "", say(known ? problem.code : "other", state.about?.limits.max_mb))];
  if (problem.message && (!known || problem.code === "unreadable")) parts.push(element("p", "quiet", problem.message));
  $("problem").replaceChildren(...parts);
}

/* The picture and the answer */

function invite() {
  $("shown").hidden = true;
  $("invite").hidden = false;
  $("choose").textContent = say("choose");
}

function showPicture(file) {
  if (state.address) URL.revokeObjectURL(state.address);
  state.address = URL.createObjectURL(file);
  $("seen").src = state.address;
  $("seen").alt = say("yours");
  $("invite").hidden = true;
  $("shown").hidden = false;
  $("map").hidden = $("looks").hidden = true;
  $("map").removeAttribute("src");
}

function showAnswer() {
  const answer = state.answer;
  $("answer").hidden = !answer;
  $("about").hidden = Boolean(answer);
  $("choose").textContent = say($("shown").hidden ? "choose" : "another");
  if (!answer) return;
  $("label").textContent = answer.label;
  $("share").textContent = percent(answer.probability);
  $("unsure").hidden = answer.probability >= 0.5;
  $("seen").alt = say("of", answer.label);
  const shown = answer.top.slice(0, state.open ? answer.top.length : FEW);
  $("bars").replaceChildren(...shown.map(bar));
  const rest = answer.top.length - FEW;
  $("more").hidden = rest <= 0;
  $("more").textContent = state.open ? say("fewer") : say("more", rest);
  $("more").setAttribute("aria-expanded", String(state.open));
  showMap();
}

function bar(guess) {
  const item = element("li"), track = element("div", "track"), fill = element("span", "fill");
  track.setAttribute("aria-hidden", "true");
  track.append(fill);
  item.append(element("span", "name", guess.label), element("span", "number", percent(guess.probability)), track);
  requestAnimationFrame(() => requestAnimationFrame(() => { fill.style.width = `${100 * guess.probability}%`; }));
  return item;
}

function showMap() {
  const address = state.answer?.heatmap;
  $("looks").hidden = !address;
  if (!address) return;
  if ($("map").getAttribute("src") !== address) $("map").src = address;
  $("map").alt = say("map", state.answer.label);
  $("map").hidden = !$("looking").checked;
  $("seen").hidden = $("looking").checked;
}

/* The ways in: a file, the clipboard, a drop, the camera */

function take(list) {
  const file = [...(list ?? [])].find((one) => one.type.startsWith("image/")) ?? list?.[0];
  if (file) ask(file);
}

function listen() {
  for (const id of ["file", "capture"]) {
    $(id).addEventListener("change", () => { take($(id).files); $(id).value = ""; });
  }
  $("choose").addEventListener("click", () => $("file").click());
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) { event.preventDefault(); take(event.clipboardData.files); }
  });
  let depth = 0;
  const over = (change) => { depth = Math.max(0, depth + change); document.body.classList.toggle("over", depth > 0); };
  document.addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
  document.addEventListener("dragleave", () => over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => { event.preventDefault(); over(-depth); take(event.dataTransfer?.files); });
  $("looking").addEventListener("change", showMap);
  $("more").addEventListener("click", () => { state.open = !state.open; showAnswer(); });
  $("all").addEventListener("click", () => { state.allClasses = !state.allClasses; showAbout(); });
  $("seen").addEventListener("error", invite);
  $("language").addEventListener("click", () => {
    const language = state.language === "zh" ? "en" : "zh";
    try { localStorage.setItem("language", language); } catch { /* then it is asked again next time */ }
    speak(language);
  });
}

/* A phone's own camera is better than a video in a page, and works without https. */
function offerCamera() {
  const phone = matchMedia("(pointer: coarse)").matches, video = window.isSecureContext && navigator.mediaDevices?.getUserMedia;
  $("camera").hidden = !(phone || video);
  $("camera").addEventListener("click", () => (phone ? $("capture").click() : openCamera()));
  $("take").addEventListener("click", shoot);
  $("leave").addEventListener("click", () => $("shot").close());
  $("shot").addEventListener("close", () => {
    for (const track of $("video").srcObject?.getTracks() ?? []) track.stop();
    $("video").srcObject = null;
  });
}

async function openCamera() {
  try {
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    $("shot").showModal();
    await $("video").play();
  } catch {
    $("shot").close();
    complain({ code: "no_camera" });
  }
}

function shoot() {
  const canvas = document.createElement("canvas"), video = $("video");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => { $("shot").close(); if (blob) ask(blob); }, "image/jpeg", 0.95);
}

async function begin() {
  listen();
  offerCamera();
  speak(remembered() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
  try {
    state.about = await (await fetch("about")).json();
    showAbout();
  } catch {
    complain({ code: "offline" });
  }
}

begin();
