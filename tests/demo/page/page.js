// The verification panel: reads a file or an embedded bundle, asks the verifier, shows its report.
// All text of a bundle reaches the page as text, never as markup.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const bytesOf = (id) => Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
  const verifier = loadVerifier(byId("wasm").textContent);
  let current = null;

  const CHECKS = {
    format: "The file", signer: "Who signed", witnesses: "Witnesses", inclusion: "In the log", openings: "Values",
    days: "Whole days", "not-before": "Not before", anchor: "Not after", ledger: "Ledger asked",
  };
  const VERDICTS = {
    valid: ["ok", "Valid"], invalid: ["bad", "Invalid"], "not-anchored": ["note", "Not anchored"],
    "quorum-missing": ["note", "Witnesses missing"], "ledger-unreachable": ["note", "Ledger unreachable"],
  };
  const MARKS = {
    ok: ["M5 12.5l4.5 4.5L19 7.5", "passed"], bad: ["M6 6l12 12M18 6L6 18", "failed"], note: ["M12 5v9M12 18.5v.01", "attention"],
    skipped: ["M7 12h10", "not checked"],
  };
  const STATUS = { passed: "ok", failed: "bad", "not-checked": "skipped" };
  const MOST_ROWS = 500;

  function element(name, properties, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  function mark(kind) {
    const [path, label] = MARKS[kind];
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    line.setAttribute("d", path);
    svg.append(line);
    return element("span", { className: "mark" }, svg);
  }

  function verdict(kind, title, text, small) {
    const words = element("div", {}, element("h3", { textContent: title }), element("p", { textContent: text }));
    if (small) words.append(element("p", { className: "small", textContent: small }));
    return element("div", { className: `verdict ${kind}` }, mark(kind), words);
  }

  function check(step) {
    const kind = STATUS[step.status] || "skipped";
    const name = element("b", { textContent: CHECKS[step.check] || step.check });
    return element("li", { className: kind }, mark(kind), name, element("p", { textContent: step.text }));
  }

  function block(title, found) {
    const where = found ? `block ${found.number}` : "not shown";
    const node = element("div", {}, element("b", { textContent: `${title} ${where}` }));
    if (found) node.append(found.ledger, element("br"), shortTime(found.time));
    return node;
  }

  function bracket(report) {
    const readings = report.readings.length;
    const what = element("div", { className: "mid" }, element("b", { textContent: readings === 1 ? "The reading" : `${readings} readings` }));
    what.append("logged in between, unchanged since");
    const arrow = () => element("i", { textContent: "→", ariaHidden: "true" });
    return element("div", { className: "bracket" }, block("After", report.bracket.not_before), arrow(), what, arrow(),
      block("Before", report.bracket.not_after));
  }

  function readings(list) {
    const table = element("table", {}, element("thead", {}, row("th", ["Entry", "Device", "Seq", "Logged at (UTC)", "Value", "Sent as"])));
    const body = element("tbody", {});
    for (const reading of list.slice(0, MOST_ROWS)) body.append(readingRow(reading));
    table.append(body);
    return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Disclosed readings" }, table);
  }

  function readingRow(reading) {
    const sent = reading.value.text ?? reading.value.hex ?? "withheld";
    const device = reading.device ?? `${reading.pseudonym.slice(0, 8)}…`;
    const line = row("td", [reading.index, device, reading.seq ?? "none", shortTime(reading.time), measured(reading.value)]);
    if (!reading.synchronised) line.cells[3].append(element("small", { textContent: "clock not synchronised" }));
    line.append(element("td", {}, element("code", { className: "sent", textContent: sent })));
    return line;
  }

  function row(name, cells) {
    return element("tr", {}, ...cells.map((text) => element(name, { textContent: text })));
  }

  const shortTime = (text) => text.replace("T", " ").replace("Z", "");

  // A pack of one SenML record, as a person writes it; otherwise nothing.
  function measured(value) {
    try {
      const [record] = JSON.parse(value.text);
      return record.v === undefined ? "" : `${record.v} ${record.u === "Cel" ? "°C" : record.u ?? ""}`.trim();
    } catch {
      return "";
    }
  }

  function show(name, report) {
    const result = byId("result");
    const [kind, title] = VERDICTS[report.verdict];
    const small = `${name} · exit code ${report.exit_code} of sluicegate verify`;
    result.replaceChildren(verdict(kind, title, report.summary, small));
    if (report.verdict !== "invalid") result.append(element("h4", { textContent: "When" }), bracket(report));
    result.append(element("h4", { textContent: "Each step" }), element("ul", { className: "checks" }, ...report.steps.map(check)));
    if (report.readings.length) {
      const rest = report.readings.length - MOST_ROWS;
      const title = "What is disclosed" + (rest > 0 ? ` (the first ${MOST_ROWS} of ${report.readings.length})` : "");
      result.append(element("h4", { textContent: title }), readings(report.readings));
    }
  }

  async function judge() {
    if (!current) return;
    const { name, bytes } = current;
    try {
      const check = await verifier;
      show(name, check(bytes, byId("policy").value));
    } catch (error) {
      // The policy can't be read, or the browser has no WebAssembly.
      byId("result").replaceChildren(verdict("note", "Not checked", error.message, name));
    }
  }

  function sample(button) {
    for (const other of document.querySelectorAll(".samples button")) other.ariaPressed = String(other === button);
    if (!button) return;
    current = { name: button.dataset.file, bytes: bytesOf(`bundle-${button.dataset.key}`) };
    return judge();
  }

  async function file(chosen) {
    if (!chosen) return;
    sample(null);
    current = { name: chosen.name, bytes: new Uint8Array(await chosen.arrayBuffer()) };
    await judge();
  }

  // `report.html#verify=forged` opens with that bundle's verification.
  async function follow() {
    const [, key] = location.hash.match(/^#verify=([a-z]+)$/) || [];
    const button = key && document.querySelector(`.samples button[data-key=${key}]`);
    if (!button) return;
    await sample(button);
    byId("verify").scrollIntoView();
  }

  for (const button of document.querySelectorAll(".samples button")) button.addEventListener("click", () => sample(button));
  byId("file").addEventListener("change", (event) => file(event.target.files[0]));
  byId("policy").addEventListener("input", judge);
  const drop = byId("drop");
  const over = (on) => (event) => { event.preventDefault(); drop.classList.toggle("over", on); };
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", (event) => { over(false)(event); file(event.dataTransfer.files[0]); });
  // A file dropped beside the target must not replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  follow();
})();
