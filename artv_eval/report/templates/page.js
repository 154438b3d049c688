"use strict";
// One clock moves all clips: frame i of every clip is drawn from its sheet in one go, so they are always in step.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const say = (text) => { $("said").textContent = text; };
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

// ---- tables: sorted by a click on a head, copied as CSV or LaTeX
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = make("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => sortTable(table, head, column));
  });
}

function sortTable(table, head, column) {
  const down = head.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => {
    const cell = row.children[column];
    const value = parseFloat(cell.dataset.value ?? cell.textContent);
    return Number.isNaN(value) ? null : value;
  };
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === null && y === null) return (down ? -1 : 1) * a.children[column].textContent.localeCompare(b.children[column].textContent);
    if (x === null || y === null) return x === null ? 1 : -1; // what has no value stays below
    return down ? y - x : x - y;
  });
  table.tBodies[0].append(...rows);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    if (button.dataset.copy === "latex") return copy(data.latex[button.dataset.group], "LaTeX");
    const table = button.closest("section").querySelector("table");
    return copy([...table.rows].map((row) => [...row.cells].map((cell) => quoted(cell.textContent)).join(",")).join("\n"), "CSV");
  });
}

// ---- clips
const shown = data.shown;
if (shown.prompts.length) player();

function player() {
  const grid = $("grid"), total = shown.frames;
  const sheets = new Map(); // address → picture, asked for when its row is seen
  const cells = shown.cells;
  let frame = 0, playing = false, started = 0, from = 0;

  const picture = (address) => {
    if (!sheets.has(address)) {
      const image = new Image();
      image.addEventListener("load", draw);
      image.src = address;
      sheets.set(address, image);
    }
    return sheets.get(address);
  };

  const part = (sheet, at) => {
    const i = Math.min(Math.max(at, 0), sheet.frames - 1), k = i % sheet.each;
    const image = picture(sheet.src[Math.floor(i / sheet.each)]);
    if (!image.complete || !image.naturalWidth) return null;
    return [image, (k % sheet.columns) * sheet.width, Math.floor(k / sheet.columns) * sheet.height, sheet.width, sheet.height];
  };

  // pictures of the steps in rows of twice as many as there are rows, a mask's cell apart
  const stepsAcross = (sheet) => Math.ceil(Math.sqrt(2 * sheet.number));
  const stepsSize = (sheet) => ({
    width: stepsAcross(sheet) * (sheet.width + 1) - 1,
    height: Math.ceil(sheet.number / stepsAcross(sheet)) * (sheet.height + 1) - 1,
  });

  const rows = shown.prompts.map((prompt) => {
    const strip = make("div", { className: "row" });
    const canvases = [];
    for (const cell of cells) {
      const clip = shown.previews[cell]?.[prompt.index];
      const caption = make("figcaption", { textContent: clip ? cell : `${cell}: no clip` });
      if (!clip) { strip.append(make("figure", {}, caption)); continue; }
      const canvas = make("canvas", { width: clip.clip.width, height: clip.clip.height, tabIndex: 0 });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${cell}: ${prompt.prompt}`);
      const steps = clip.steps && make("canvas", { className: "steps", hidden: true, ...stepsSize(clip.steps) });
      steps?.setAttribute("role", "img");
      steps?.setAttribute("aria-label", `${cell}: the mask of this frame over the sampling steps, from noisy to clean`);
      const figure = make("figure", {}, canvas, ...(steps ? [steps] : []), caption);
      const enlarge = () => { figure.classList.toggle("large"); };
      canvas.addEventListener("click", enlarge);
      canvas.addEventListener("keydown", (event) => { if (event.key === "Enter") enlarge(); });
      canvases.push({ cell, clip, steps: steps?.getContext("2d"), context: canvas.getContext("2d"), first: shown.previews[cells[0]]?.[prompt.index] });
      strip.append(figure);
    }
    const words = make("div", { className: "prompt" }, make("b", { textContent: prompt.prompt }), " ",
      make("small", { textContent: `clip ${prompt.index}, seed ${prompt.seed}` }));
    const value = make("small", {});
    words.append(" ", value);
    const block = make("div", {}, words, strip);
    grid.append(block);
    return { prompt, block, canvases, value, seen: false };
  });

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) rows.find((row) => row.block === entry.target).seen = entry.isIntersecting;
    draw();
  }, { rootMargin: "200px" });
  rows.forEach((row) => watcher.observe(row.block));

  // the mask of one frame, a picture a step, as in the paper's Fig. 1; frame 0 is given and has none
  function drawSteps(context, sheet) {
    const frames = sheet.frames / sheet.number, { width, height } = sheet;
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    for (let step = 0; frame > 0 && step < sheet.number; step++) {
      const mask = part(sheet, step * frames + Math.min(frame, frames) - 1);
      const x = (step % stepsAcross(sheet)) * (width + 1), y = Math.floor(step / stepsAcross(sheet)) * (height + 1);
      context.fillRect(x, y, width, height);
      if (mask) context.drawImage(...mask, x, y, width, height);
    }
  }

  function draw() {
    const masks = $("mask")?.checked, difference = $("difference").checked;
    for (const row of rows) {
      if (!row.seen) continue;
      for (const { cell, clip, context, steps, first } of row.canvases) {
        if (steps && $("steps").checked) drawSteps(steps, clip.steps);
        const { width, height } = context.canvas;
        const own = part(clip.clip, frame);
        if (!own) continue;
        context.globalCompositeOperation = "source-over";
        context.globalAlpha = 1;
        context.drawImage(...own, 0, 0, width, height);
        if (difference && first && cell !== cells[0]) {
          const other = part(first.clip, frame);
          if (other) { context.globalCompositeOperation = "difference"; context.drawImage(...other, 0, 0, width, height); }
        }
        if (masks && clip.mask && frame > 0) {
          const mask = part(clip.mask, frame - 1); // the mask of frame i says what i takes from i − 1
          context.globalCompositeOperation = "source-over";
          context.globalAlpha = 0.6;
          context.imageSmoothingEnabled = false;
          if (mask) context.drawImage(...mask, 0, 0, width, height);
        }
      }
    }
  }

  function show(at) {
    frame = ((at % total) + total) % total;
    $("frame").value = frame;
    $("frame").setAttribute("aria-valuetext", `frame ${frame + 1} of ${total}`);
    $("at").value = `${frame + 1} / ${total}`;
    document.body.dataset.frame = frame;
    draw();
  }

  const rate = () => shown.fps * parseFloat($("speed").value);
  function tick(now) {
    if (!playing) return;
    const at = from + Math.floor(((now - started) / 1000) * rate());
    if (at % total !== frame) show(at);
    requestAnimationFrame(tick);
  }
  function play(on) {
    playing = on;
    $("play").textContent = on ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", on);
    from = frame;
    started = performance.now();
    if (on) requestAnimationFrame(tick);
  }
  const step = (by) => { play(false); show(frame + by); };

  $("play").addEventListener("click", () => play(!playing));
  $("back").addEventListener("click", () => step(-1));
  $("forth").addEventListener("click", () => step(1));
  $("frame").addEventListener("input", (event) => { play(false); show(+event.target.value); });
  $("speed").addEventListener("change", () => play(playing));
  $("mask")?.addEventListener("change", draw);
  $("steps")?.addEventListener("change", () => {
    grid.querySelectorAll("canvas.steps").forEach((strip) => { strip.hidden = !$("steps").checked; });
    if (frame === 0) show(1);
    draw();
  });
  $("difference").addEventListener("change", draw);
  $("size").addEventListener("input", (event) => grid.style.setProperty("--side", `${event.target.value}px`));
  grid.style.setProperty("--side", `${$("size").value}px`);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector("figure.large")?.classList.remove("large");
    if (event.target.closest("input, select, textarea, button, summary, a")) return;
    if (event.key === " ") { event.preventDefault(); play(!playing); }
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  // ---- order and search
  const orders = new Map();
  for (const [metric, values] of Object.entries(data.values)) {
    for (const cell of cells) if (values[cell]) orders.set(`${metric}: ${cell}`, { metric, value: (i) => values[cell][i] });
    const [a, ...others] = cells.filter((cell) => values[cell]);
    for (const b of others) {
      orders.set(`${metric}: ${a} − ${b}`, { metric, value: (i) => values[a][i] === undefined || values[b][i] === undefined ? undefined : values[a][i] - values[b][i] });
    }
  }
  for (const name of orders.keys()) $("sort").append(make("option", { value: name, textContent: name }));

  function arrange() {
    const order = orders.get($("sort").value), words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const best = order && data.directions[order.metric] === true ? -1 : 1; // best first, unless asked otherwise
    const sign = best * ($("reverse").checked ? -1 : 1);
    const at = (row) => (order ? order.value(row.prompt.index) : row.prompt.index);
    const sorted = [...rows].sort((a, b) => {
      const x = at(a), y = at(b);
      if (x === undefined || x === null) return 1;
      if (y === undefined || y === null) return -1;
      return (order ? sign : $("reverse").checked ? -1 : 1) * (x - y);
    });
    let left = 0;
    for (const row of sorted) {
      const text = `${row.prompt.prompt} ${row.prompt.labels ?? ""}`.toLowerCase();
      row.block.hidden = !words.every((word) => text.includes(word));
      left += !row.block.hidden;
      const value = order?.value(row.prompt.index);
      row.value.textContent = value === undefined || value === null ? "" : `${$("sort").value} = ${value.toPrecision(3)}`;
    }
    grid.append(...sorted.map((row) => row.block));
    say(`${left} of ${rows.length} prompts`);
    draw();
  }
  ["find", "sort", "reverse"].forEach((id) => $(id).addEventListener("input", arrange));
  show(0);
}
