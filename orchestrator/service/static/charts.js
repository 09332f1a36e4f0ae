"use strict";
// The drawings: what a page's element #chart-data holds, drawn by uPlot. Each has its answer in words below it, so that
// nothing is said by colour, or by a drawing, alone.
(() => {
  const drawn = new Map();
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function latency(seconds) {
    if (seconds === null || seconds === undefined) return "-";
    if (seconds === 0) return "0";
    for (const [factor, unit] of [[1, "s"], [1e3, "ms"], [1e6, "µs"]]) {
      const value = seconds * factor;
      if (value >= 1) return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
    }
    return `${(seconds * 1e9).toFixed(0)} ns`;
  }

  function span(seconds) {
    if (seconds < 60) return `${Math.round(seconds)}s`;
    if (seconds < 3600) {
      const rest = Math.round(seconds % 60);
      return `${Math.floor(seconds / 60)}m${rest ? ` ${rest}s` : ""}`;
    }
    const minutes = Math.floor((seconds % 3600) / 60);
    return `${Math.floor(seconds / 3600)}h${minutes ? ` ${minutes}m` : ""}`;
  }

  const axis = (values, more) => ({
    stroke: color("dim"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line") },
    values: values && ((_, splits) => splits.map(values)), ...more,
  });

  // Splits of a clock: 5 s, 1 min, 10 min, 1 h, not 20 and 50 of a hundred.
  const CLOCK = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

  function draw(element, options, data) {
    const key = element;
    const size = { width: Math.max(200, element.clientWidth), height: 220 };
    const before = drawn.get(key);
    if (before) before.destroy();
    element.replaceChildren();
    if (!data[0].length) { drawn.delete(key); return; }
    drawn.set(key, new uPlot({ ...size, ...options, cursor: { drag: { x: true, y: false } } }, data, element));
  }

  function say(name, text) {
    const element = document.querySelector(`[data-says="${name}"]`);
    if (element && element.textContent !== text) element.textContent = text;
  }

  // A line is drawn from the beginning to this moment, however long ago it last changed.
  function curve(element, curves, elapsed) {
    const shown = curves.find((one) => one.points.length) || curves[0];
    if (!shown || !shown.points.length) {
      draw(element, {}, [[]]);
      say("curve", shown && shown.library_s ? `The library took ${latency(shown.library_s)} when it began; no curve yet: not all tasks have a time.` : "No curve yet: not all tasks have a time.");
      return;
    }
    const several = curves.filter((one) => one.points.length).length > 1;
    const xs = shown.points.map((point) => point.at_s);
    const ys = shown.points.map((point) => point.expected_s);
    const [first, last, begins, ends] = [ys[0], ys[ys.length - 1], xs[0], xs[xs.length - 1]];
    if (begins > 0) { xs.unshift(0); ys.unshift(null); }
    if (elapsed > ends) { xs.push(elapsed); ys.push(last); }
    const flat = (value) => xs.map(() => value);
    const series = [{ label: "after", value: (_, value) => (value === null ? "-" : span(value)) }, {
      label: "estimate", stroke: color("curve"), width: 2, paths: uPlot.paths.stepped({ align: 1 }),
      points: { show: xs.length < 60 }, value: (_, value) => latency(value),
    }];
    const data = [xs, ys];
    for (const [label, value, name, dash] of [["at the beginning", shown.library_s, "before", [2, 4]], ["onnxruntime", shown.reference_s, "reference", [8, 4]]]) {
      if (!value) continue;
      series.push({ label, stroke: color(name), width: 2, dash, points: { show: false }, value: (_, one) => latency(one) });
      data.push(flat(value));
    }
    const highest = Math.max(...data.slice(1).map((values) => Math.max(...values)));
    draw(element, {
      scales: { x: { time: false }, y: { range: [0, highest * 1.05] } },
      axes: [axis(span, { incrs: CLOCK }), axis(latency, { size: 70 })], series,
    }, data);
    const parts = [`${latency(first)} after ${span(begins)}, ${latency(last)} after ${span(ends)}`];
    if (shown.library_s) parts.push(`${latency(shown.library_s)} at the beginning`);
    if (shown.reference_s) parts.push(`onnxruntime ${latency(shown.reference_s)}` + (shown.reference_passed_s === null ? ", not passed" : shown.reference_passed_s === 0 ? ", passed from the beginning" : `, passed after ${span(shown.reference_passed_s)}`));
    say("curve", parts.join("; ") + "." + (several ? ` This is ${shown.device_class}.` : ""));
  }

  function trials(element, task, elapsed) {
    const points = task ? task.points.filter((point) => point[1] !== null) : [];
    const cut = task && task.trials > task.points.length;
    if (!points.length) {
      draw(element, {}, [[]]);
      say("trials", task ? (task.failed ? `${cut ? "The last" : "All"} ${task.failed} trials of this task failed.` : "Nothing was measured for this task here.") : "No tasks yet.");
      return;
    }
    const gflops = task.flops > 0;
    const value = (seconds) => (gflops ? task.flops / seconds / 1e9 : seconds);
    const text = gflops ? (one) => `${one.toFixed(one < 10 ? 1 : 0)}` : latency;
    // The best of those before may be better than all that are drawn: then the line is there from the beginning.
    const fastest = Math.min(cut && task.best_s ? task.best_s : Infinity, ...points.map((point) => point[1]));
    let best = points.some((point) => point[1] === fastest) ? Infinity : fastest;
    const line = points.map((point) => value((best = Math.min(best, point[1]))));
    draw(element, {
      scales: { x: { time: false, range: (_, low, high) => [0, Math.max(elapsed || 0, high) * 1.02 || 1] }, y: { range: (_, low, high) => [0, high * 1.05] } },
      axes: [axis(span, { incrs: CLOCK }), axis(text, { size: 60, label: gflops ? "GFLOP/s" : "a call", labelSize: 22 })],
      series: [
        { label: "after", value: (_, one) => (one === null ? "-" : span(one)) },
        { label: gflops ? "trial, GFLOP/s" : "trial", stroke: color("point"), paths: () => null, points: { show: true, size: 5, fill: color("point") }, value: (_, one) => (one === null ? "-" : text(one)) },
        { label: "best", stroke: color("curve"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, value: (_, one) => (one === null ? "-" : text(one)) },
      ],
    }, [points.map((point) => point[0]), points.map((point) => value(point[1])), line]);
    say("trials", `${points.length} trials with a time${task.failed ? `, ${task.failed} failed` : ""}: the best takes ${latency(fastest)} a call${gflops ? `, ${text(value(fastest))} GFLOP/s` : ""}.` + (cut ? ` Of ${task.trials} trials the last ${task.points.length} are drawn.` : ""));
  }

  function compared(element, rows) {
    const dash = { untuned: [2, 4], onnxruntime: [8, 4] };
    const names = [["untuned", "before"], ["tuned", "curve"], ["onnxruntime", "reference"]];
    draw(element, {
      scales: { y: { range: (_, low, high) => [0, high * 1.05] } },
      axes: [axis(null), axis(latency, { size: 70 })],
      series: [{}, ...names.map(([label, name]) => ({ label, stroke: color(name), width: 2, dash: dash[label], points: { show: true, size: 7 }, value: (_, one) => latency(one) }))],
    }, [0, 1, 2, 3].map((column) => rows.map((row) => row[column])));
  }

  let data = null;
  function all() {
    for (const element of document.querySelectorAll("[data-chart]")) {
      const kind = element.dataset.chart;
      if (kind === "curve") curve(element, data.curves, data.elapsed_s);
      if (kind === "trials") trials(element, data.task, data.elapsed_s);
      if (kind === "compared") compared(element, data.compared);
    }
    const select = document.querySelector("[data-task]");
    if (select && select.options.length !== data.tasks.length) {
      const several = new Set(data.tasks.map((task) => task.device)).size > 1;
      select.replaceChildren(...data.tasks.map((task) => new Option(several ? `${task.name} (${task.device})` : task.name, task.id)));
      if (data.task) select.value = data.task.id;
    }
  }

  async function refresh(task) {
    const home = document.querySelector("[data-charts]");
    // Where the service is away, the next event has it asked again.
    const answer = await fetch(home.dataset.charts + (task ? `?task=${task}` : "")).catch(() => null);
    if (!answer || !answer.ok) return;
    data = await answer.json();
    all();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const source = document.getElementById("chart-data");
    if (!source) return;
    data = JSON.parse(source.textContent);
    all();
    const select = document.querySelector("[data-task]");
    const live = document.querySelector("[data-charts]");
    if (select && live && live.dataset.charts) select.addEventListener("change", () => refresh(select.value));
    // A report has all of its tasks in it.
    if (select && data.all_tasks) select.addEventListener("change", () => { data.task = data.all_tasks[select.value]; all(); });
    let waiting = null;
    document.body.addEventListener("htmx:sseMessage", (event) => {
      if (event.detail.type !== "charts" || waiting) return;
      waiting = setTimeout(() => { waiting = null; refresh(select && select.value); }, 2000);
    });
    let resized = null;
    new ResizeObserver(() => { clearTimeout(resized); resized = setTimeout(all, 100); }).observe(document.querySelector("main"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  });
})();
