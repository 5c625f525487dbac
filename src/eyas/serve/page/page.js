"use strict";

const FEW = 5, SOME = 24;
const $ = (id) => document.getElementById(id);
const state = { language: "en", about: null, answer: null, problem: null, open: false, allClasses: false, asking: null, address: null, name: "", unshown: false };

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
  $("said").textContent = "";
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
  $("looks").hidden = true;
  $("map").removeAttribute("src");
  Object.assign(state, { name: file.name || say("yours"), unshown: false });
  showSeen();
}

/* A browser does not show every kind of picture that the server reads (TIFF): then its name stands there. */
function nameIt() {
  if (NO_PICTURE.includes(state.problem?.code)) return;
  state.unshown = true;
  showSeen();
}

function showSeen() {
  const mapped = Boolean(state.answer?.heatmap) && $("looking").checked;
  $("map").hidden = !mapped;
  $("seen").hidden = mapped || state.unshown;
  $("unshown").hidden = mapped || !state.unshown;
  $("unshown").textContent = state.unshown ? say("unshown", state.name) : "";
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
  showSeen();
  if (!address) return;
  if ($("map").getAttribute("src") !== address) $("map").src = address;
  $("map").alt = say("map", state.answer.label);
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
  $("seen").addEventListener("error", nameIt);
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
