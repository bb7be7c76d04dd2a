"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, values = {}) => Object.assign(document.createElement(tag), values);

// --- Theme ----------------------------------------------------------------------------------
const THEMES = ["auto", "light", "dark"], root = document.documentElement;
const kept = (value) => {
  try {
    if (value) localStorage.setItem("lossylab-theme", value);
    return localStorage.getItem("lossylab-theme");
  } catch { return null; }  // a page on a disk may have no storage
};
const themed = [];  // what is drawn again in other colors
function theme(name) {
  if (name === "auto") delete root.dataset.theme;
  else root.dataset.theme = name;
  document.getElementById("theme").textContent = `Theme: ${name}`;
  themed.forEach((draw) => draw());
}
{
  const button = document.getElementById("theme");
  let now = THEMES.includes(kept()) ? kept() : "auto";
  button.hidden = false;
  button.onclick = () => {
    now = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    kept(now);
    theme(now);
  };
  theme(now);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(now));
}
const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

// --- Tables: a click on a heading sorts --------------------------------------------------------
const NUMBER = /^[^\d+\-.]{0,2}([+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i;
function value(cell) {
  const text = cell.textContent.trim(), found = NUMBER.exec(text);
  return found ? Number(found[1].replaceAll(",", "")) : text && text !== "n/a" ? text : null;
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return typeof a === typeof b ? a.localeCompare(b) : typeof a === "number" ? -1 : 1;
}
function sort(table, column, up) {
  const body = table.tBodies[0];
  const lines = [...body.rows].map((row) => [value(row.cells[column]), row]);
  lines.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);  // nothing comes last
    return up ? compare(a, b) : compare(b, a);
  });
  body.append(...lines.map(([, row]) => row));
}
for (const table of all("table.sortable")) {
  all("th", table).forEach((head, column) => {
    const button = make("button", { type: "button", textContent: head.textContent });
    button.onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table, column, up);
    };
    head.replaceChildren(button);
  });
}

// --- Claims: by verdict -------------------------------------------------------------------------
for (const block of all(".claims")) {
  const claims = all(".claim", block), group = block.querySelector(".filter");
  const verdicts = ["all", ...new Set(claims.map((each) => each.dataset.verdict))];
  group.hidden = verdicts.length < 3;
  for (const verdict of verdicts) {
    const button = make("button", { type: "button", textContent: verdict });
    button.setAttribute("aria-pressed", verdict === "all");
    button.onclick = () => {
      for (const each of group.children) each.setAttribute("aria-pressed", each === button);
      for (const each of claims) each.hidden = verdict !== "all" && each.dataset.verdict !== verdict;
    };
    group.append(button);
  }
}

// --- Charts -------------------------------------------------------------------------------------
const COLORS = 7, SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
const DASHES = ["solid", "dash", "dot", "dashdot"], FEW = 40;
let library = null;
// The drawing library lies in the page compressed, and is unpacked where a chart comes near.
async function plotly() {
  const packed = document.getElementById("library").textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(make("script", { textContent: await new Response(stream).text() }));
  return window.Plotly;
}
// The baseline is gray and first; the others have the colors in their order.
const look = (series, place) => series.baseline
  ? { color: color("soft"), dash: "dash", symbol: "circle-open" }
  : { color: color(`c${place % COLORS}`), dash: DASHES[Math.floor(place / COLORS) % DASHES.length],
      symbol: SYMBOLS[place % SYMBOLS.length] };
function wrapped(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length >= most) lines.push("");
    lines[lines.length - 1] += `${lines.at(-1) && " "}${word}`;
  }
  return lines.join("<br>");
}
// Ticks of a logarithmic axis as plain numbers: 1, 2, 3, 5 of every power of ten, or fewer.
function logTicks(values) {
  const known = values.filter((each) => each > 0), powers = [];
  for (let p = Math.floor(Math.log10(Math.min(...known))); p <= Math.ceil(Math.log10(Math.max(...known))); p++) powers.push(p);
  const within = powers.length > 5 ? [1] : powers.length > 3 ? [1, 3] : [1, 2, 3, 5];
  const ticks = powers.flatMap((power) => within.map((each) => Number(`${each}e${power}`)));
  const plain = (tick) => tick >= 1e4 || tick < 1e-4 ? tick.toExponential().replace("e+", "e") : String(tick);
  return { tickvals: ticks, ticktext: ticks.map(plain) };
}

function trace(panel, series, place, shown, narrow) {
  const style = look(series, place), most = narrow ? 20 : 30, dots = panel.kind === "dots";
  const noted = series.notes.length ? "<br>%{customdata}" : "";
  return {
    type: "scatter", name: series.name, visible: shown, customdata: series.notes,
    x: series.x, y: dots ? series.y.map((name) => wrapped(name, most)) : series.y,
    mode: dots ? "markers" : series.x.length > FEW ? "lines" : "lines+markers",
    line: { color: style.color, width: 2, dash: style.dash },
    marker: { color: dots ? color("accent") : style.color, size: dots ? 9 : 7, symbol: style.symbol },
    error_x: dots ? { type: "data", array: series.margins, color: color("strong"), thickness: 1.5, width: 4 } : {},
    hovertemplate: dots
      ? `<b>%{y}</b><br>${panel.x_title} %{x}${noted}<extra></extra>`
      : `<b>${series.name}</b><br>${panel.x_title} %{x}<br>${panel.y_title} %{y}${noted}<extra></extra>`,
  };
}
function layout(panel, narrow) {
  const numbers = (name) => panel.series.flatMap((each) => each[name]);
  const axis = (title, name, log) => ({
    title: { text: title, standoff: 12, font: { size: 13 } }, automargin: true,
    gridcolor: color("line"), linecolor: color("strong"), zerolinecolor: color("line"),
    tickfont: { size: narrow ? 11 : 12 }, exponentformat: "none", separatethousands: true, fixedrange: narrow,
    ...(log ? { type: "log", ...logTicks(numbers(name)) } : { nticks: narrow ? 5 : 9 }),
  });
  const dots = panel.kind === "dots";
  const y = dots ? { ...axis("", "y", false), type: "category", nticks: undefined, dtick: 1 } : axis(panel.y_title, "y", panel.log_y);
  return {
    xaxis: axis(panel.x_title, "x", panel.log_x), yaxis: y, showlegend: false, hovermode: "closest",
    margin: { l: 10, r: 14, t: 12, b: 10 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", color: color("text") }, dragmode: narrow ? false : "zoom",
    hoverlabel: { bgcolor: color("raised"), bordercolor: color("line"), font: { color: color("text"), family: "system-ui, sans-serif" } },
  };
}
function swatch(series, place) {
  const style = look(series, place), dashes = { dash: "5 3", dot: "2 3", dashdot: "5 2 1 2" }[style.dash] || "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 26 12");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = `<path d="M0 6h26" stroke="${style.color}" stroke-width="2.5" stroke-dasharray="${dashes}"/>`
    + `<circle cx="13" cy="6" r="3.6" fill="${style.color}"/>`;
  return svg;
}
function chart(block) {
  const panels = JSON.parse(block.querySelector(".data").textContent);
  const plot = block.querySelector(".plot"), legend = block.querySelector(".legend"), select = block.querySelector(".panel");
  const hidden = new Map();
  let drawn = false;
  async function draw() {
    const panel = panels[select ? select.value : 0];
    const gray = panel.series.some((each) => each.baseline) ? 1 : 0;
    const shown = panel.series.map((each) => hidden.has(each.name) ? !hidden.get(each.name) : each.shown);
    const narrow = plot.clientWidth < 560, height = panel.kind === "dots" ? 110 + 34 * panel.series[0].y.length : null;
    if (height) plot.style.height = `${height}px`;
    plot.setAttribute("aria-label", `${panel.label}: ${panel.y_title} over ${panel.x_title}`.replace(/: +over/, ": ")
      + ` of ${panel.series.flatMap((each) => panel.kind === "dots" ? each.y : [each.name]).join(", ")}. The numbers follow as a table.`);
    legend.replaceChildren();
    panel.series.forEach((series, place) => {
      if (panel.kind === "dots" || panel.series.length < 2) return;
      const button = make("button", { type: "button" }), item = make("li");
      button.append(swatch(series, place - gray), series.name);
      button.setAttribute("aria-pressed", shown[place]);
      button.onclick = () => { hidden.set(series.name, shown[place]); draw().then(() => legend.children[place].firstChild.focus()); };
      item.append(button);
      legend.append(item);
    });
    try {
      const Plotly = await (library ||= plotly());
      const traces = panel.series.map((each, place) => trace(panel, each, place - gray, shown[place], narrow));
      await Plotly.react(plot, traces, layout(panel, narrow), { displayModeBar: false, responsive: true });
      drawn = true;
    } catch (error) {
      plot.replaceChildren(make("p", { textContent: `This browser cannot draw the chart (${error.message}); its numbers are in the table below.` }));
    }
  }
  if (select) select.onchange = draw;
  themed.push(() => { if (drawn) draw(); });
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    draw();
  }, { rootMargin: "800px" }).observe(plot);
}
all(".chart").forEach(chart);

// --- Crops --------------------------------------------------------------------------------------
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const ZOOMS = [1, 2, 3, 4, 6, 8];
function heat(t) {
  const place = Math.min(t, 1) * (RAMP.length - 1), low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, channel) => from + (place - low) * (RAMP[low + 1][channel] - from));
}
// The tiles of a strip as canvases, the first of which is the reference of error maps.
function cut(image) {
  const labels = JSON.parse(image.dataset.labels), width = image.naturalWidth / labels.length;
  return labels.map((label, place) => {
    const tile = make("canvas", { width, height: image.naturalHeight });
    const context = tile.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, -place * width, 0);
    return { label, tile, data: context.getImageData(0, 0, width, tile.height).data };
  });
}
function errors(one, other) {
  const found = new Float32Array(one.length / 4);
  for (let i = 0; i < found.length; i++)
    for (let c = 0; c < 3; c++) found[i] += Math.abs(one[4 * i + c] - other[4 * i + c]) / 3;
  return found;
}
function painted(found, most, { width, height }) {
  const canvas = make("canvas", { width, height }), context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  found.forEach((error, i) => pixels.data.set([...heat(error / most), 255], 4 * i));
  context.putImageData(pixels, 0, 0);
  return canvas;
}
const quantile = (found, share) => Float32Array.from(found).sort()[Math.floor(share * (found.length - 1))];
const mean = (found) => found.reduce((sum, each) => sum + each, 0) / found.length;

function comparison(block) {
  const part = (name) => block.querySelector(name), stage = part(".stage"), canvas = part("canvas");
  const images = all(".strips img", block), left = part(".left"), right = part(".right"), divider = part(".divider");
  const view = { zoom: 1, x: 0.5, y: 0.5 };
  let tiles = [], shown = [];

  function choose() {
    const image = images[part(".image") ? part(".image").value : 0];
    const before = [left.selectedOptions[0]?.text, right.selectedOptions[0]?.text];
    tiles = cut(image);
    const names = tiles.map(({ label }) => label.replaceAll("\n", ", "));
    for (const select of [left, right]) select.replaceChildren(...names.map((name, i) => new Option(name, i)));
    const first = (text) => names.findIndex((name) => text && name.split(",")[0] === text.split(",")[0]);
    left.value = first(before[0]) >= 0 ? first(before[0]) : Math.min(1, names.length - 1) - (names.length < 3);
    right.value = first(before[1]) >= 0 ? first(before[1]) : Math.min(2, names.length - 1);
    prepare();
  }
  function prepare() {
    const pair = [tiles[left.value], tiles[right.value]], wrong = block.querySelector("input:checked").value === "errors";
    const captions = pair.map(({ label }) => label);
    part(".scale").hidden = !wrong;
    if (wrong) {
      const maps = pair.map(({ data }) => errors(data, tiles[0].data));
      const most = Math.max(1, ...maps.map((map) => quantile(map, 0.99)));
      shown = maps.map((map) => painted(map, most, pair[0].tile));
      maps.forEach((map, i) => { captions[i] += `\nmean error ${mean(map).toFixed(2)}`; });
      part(".most").textContent = `0 to ${most.toFixed(0)} pixel values`;
    } else shown = pair.map(({ tile }) => tile);
    part(".of-left").textContent = captions[0];
    part(".of-right").textContent = captions[1];
    draw();
  }
  function draw() {
    const { width, height } = shown[0], wide = Math.min(stage.clientWidth, 640), scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(wide * scale);
    canvas.height = Math.round(canvas.width * height / width);
    const context = canvas.getContext("2d"), line = canvas.width * divider.value / 100;
    context.imageSmoothingEnabled = canvas.width * view.zoom < 2 * width;
    const span = 1 / view.zoom;
    view.x = Math.min(Math.max(view.x, span / 2), 1 - span / 2);
    view.y = Math.min(Math.max(view.y, span / 2), 1 - span / 2);
    const from = [(view.x - span / 2) * width, (view.y - span / 2) * height, span * width, span * height];
    [[0, line], [line, canvas.width - line]].forEach(([start, length], side) => {
      context.save();
      context.beginPath();
      context.rect(start, 0, length, canvas.height);
      context.clip();
      context.drawImage(shown[side], ...from, 0, 0, canvas.width, canvas.height);
      context.restore();
    });
    context.fillStyle = "#000";
    context.fillRect(line - 2 * scale, 0, 4 * scale, canvas.height);
    context.fillStyle = "#fff";
    context.fillRect(line - scale, 0, 2 * scale, canvas.height);
    const texts = [left, right].map((select) => select.selectedOptions[0].text);
    canvas.setAttribute("aria-label", `${part(".scale").hidden ? "Crops" : "Error maps"}: left of ${divider.value} % ${texts[0]}; right of it ${texts[1]}`);
    divider.setAttribute("aria-valuetext", `${divider.value} % ${texts[0]}`);
    part(".times").textContent = `${view.zoom}×`;
    stage.classList.toggle("zoomed", view.zoom > 1);
  }
  function zoom(by) {
    view.zoom = ZOOMS[Math.min(Math.max(ZOOMS.indexOf(view.zoom) + by, 0), ZOOMS.length - 1)];
    draw();
  }
  function move(by) { divider.value = Number(divider.value) + by; draw(); }
  function pan(x, y) { view.x += x / view.zoom; view.y += y / view.zoom; draw(); }

  let last = null;
  stage.onpointerdown = (event) => { last = [event.clientX, event.clientY]; stage.setPointerCapture(event.pointerId); follow(event); };
  stage.onpointermove = (event) => { if (last) follow(event); };
  stage.onpointerup = stage.onpointercancel = () => { last = null; };
  function follow(event) {
    const box = canvas.getBoundingClientRect();
    if (view.zoom > 1) pan((last[0] - event.clientX) / box.width, (last[1] - event.clientY) / box.height);
    else { divider.value = 100 * (event.clientX - box.left) / box.width; draw(); }
    last = [event.clientX, event.clientY];
  }
  stage.onkeydown = (event) => {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }, arrow = arrows[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoom(1);
    else if (event.key === "-") zoom(-1);
    else if (arrow && view.zoom > 1) pan(0.1 * arrow[0], 0.1 * arrow[1]);
    else if (arrow && arrow[0]) move(2 * arrow[0]);
    else return;
    event.preventDefault();
  };
  part(".in").onclick = () => zoom(1);
  part(".out").onclick = () => zoom(-1);
  divider.oninput = draw;
  if (part(".image")) part(".image").onchange = choose;
  for (const each of [left, right, ...all("input[type=radio]", block)]) each.onchange = prepare;
  new ResizeObserver(() => { if (shown.length) draw(); }).observe(stage);
  Promise.all(images.map((image) => image.decode())).then(() => { part(".compare").hidden = false; choose(); });
}
all(".crops").forEach(comparison);

// --- Sections: the one that is read is marked ----------------------------------------------------
{
  const observer = new IntersectionObserver((entries) => {
    const entry = entries.find(({ isIntersecting }) => isIntersecting);
    if (!entry) return;
    for (const link of all("nav a")) {
      if (link.hash === `#${entry.target.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("main section").forEach((section) => observer.observe(section));
}
