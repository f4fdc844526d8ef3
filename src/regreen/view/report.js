// Lists the tasks and opens a rollout in a drawer. All content reaches the page as text nodes, never
// as markup; a rollout is parsed when it is opened and not before.
"use strict";
(() => {
  const GLYPHS = { resolved: "✓", unresolved: "✗", ungraded: "·", infrastructure: "!", agent: "A", task: "T", model: "M" };
  const WORDS = { infrastructure: "infrastructure failed", agent: "agent failed", task: "task broken", model: "model failed" };
  const FOLD_LINES = 16, PAGE = 200;
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId("index").textContent);
  const rolloutsOf = new Map(index.tasks.map((task) => [task.id, []]));
  index.rollouts.forEach((row, number) => { row.number = number; rolloutsOf.get(row.task).push(row); });
  const taskBlobs = new Map(index.tasks.map((task) => [task.id, task.blob]));

  function h(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") node.addEventListener("click", value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, visible(String(value)));
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== "")
      .map((child) => child instanceof Node ? child : visible(String(child))));
    return node;
  }

  async function load(id) {
    const element = byId(id);
    if (!("deflated" in element.dataset)) return JSON.parse(element.textContent);
    const bytes = Uint8Array.from(atob(element.textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  // ---- text -------------------------------------------------------------------------------------
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  const span = (seconds) => seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 120 ? `${Math.round(seconds)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  const wordOf = (row) => WORDS[row.outcome] || row.outcome;

  // Control and direction characters could hide what a command did, so they are shown; half a
  // surrogate pair is no text at all.
  const visible = (text) => text.replace(/\r\n/g, "\n").replace(/[\u0000-\u0008\u000b-\u001f]/g,
    (c) => String.fromCharCode(0x2400 + c.charCodeAt(0))).replace(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu,
    (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

  function ansi(text) {
    const parts = text.split(/\u001b\[([0-9;]*)m/);
    const out = [];
    let classes = [];
    parts.forEach((part, place) => {
      if (place % 2) {
        for (const code of (part || "0").split(";").map(Number)) {
          if (code === 0) classes = [];
          else if (code === 39) classes = classes.filter((name) => name === "a1");
          else classes = [...classes, `a${code}`];
        }
      } else if (part) {
        const shown = visible(part.replace(/\u001b\[[0-9;?]*[A-Za-ln-z]|\u001b\][^\u0007]*\u0007/g, ""));
        out.push(classes.length ? h("span", { class: classes.join(" ") }, shown) : shown);
      }
    });
    return out;
  }

  // A long id breaks after its dots, not in the middle of a word.
  const breakable = (text) => text.split(/(?<=\.)/).flatMap((part) => [part, h("wbr")]);

  function contentOf(message) {
    const content = message.content;
    if (typeof content === "string") return content;
    if (!Array.isArray(content)) return content === null || content === undefined ? "" : JSON.stringify(content, null, 2);
    return content.map((part) => part && typeof part.text === "string" ? part.text : JSON.stringify(part)).join("\n");
  }

  function folded(text, keepEnd) {
    const lines = text.split("\n");
    if (lines.length <= FOLD_LINES + 4 && text.length < 6000) return [h("pre", { class: "block" }, ansi(text))];
    const clip = (part) => part.map((line) => line.slice(0, 400)).join("\n");
    const tail = keepEnd ? FOLD_LINES - 5 : 0;
    const hidden = lines.length - FOLD_LINES;
    const short = hidden <= 0 ? clip(lines)
      : `${clip(lines.slice(0, FOLD_LINES - tail))}\n⋯ ${plural(hidden, "line")}${tail ? `\n${clip(lines.slice(-tail))}` : ""}`;
    const label = `show all ${plural(lines.length, "line")}`;
    const pre = h("pre", { class: "block" }, ansi(short));
    let open = false;
    const button = h("button", { class: "fold", onclick: () => {
      open = !open;
      pre.replaceChildren(...ansi(open ? text : short));
      button.textContent = open ? "show less" : label;
    } }, label);
    return [pre, button];
  }

  function diff(text) {
    if (!text.trim()) return h("p", { class: "muted" }, "empty");
    let inHunk = false;
    const lines = text.replace(/\n$/, "").split("\n").map((line) => {
      if (line.startsWith("diff --git")) inHunk = false;
      if (line.startsWith("@@")) inHunk = true;
      const kind = line.startsWith("@@") ? "hunk" : !inHunk ? "file" : line[0] === "+" ? "add" : line[0] === "-" ? "del" : "";
      return h("span", { class: kind || null }, line);
    });
    return h("div", { class: "block diff" }, h("pre", {}, lines));
  }

  // ---- a rollout --------------------------------------------------------------------------------
  function argumentsOf(call) {
    const raw = call.function ? call.function.arguments : call.arguments;
    if (typeof raw !== "string") return raw;
    try { return JSON.parse(raw); } catch { return raw; }
  }

  function callView(call) {
    const name = (call.function || call).name || "call";
    const values = argumentsOf(call);
    if (values === null || typeof values !== "object") {
      return h("div", { class: "call" }, h("div", { class: "name" }, name), folded(String(values ?? ""), false));
    }
    const entries = Object.entries(values);
    const shell = entries.length === 1 && ["command", "cmd"].includes(entries[0][0]);
    const blocks = entries.flatMap(([key, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
      return [shell ? "" : h("div", { class: "arg" }, key), ...folded(shell ? `$ ${text}` : text, false)];
    });
    return h("div", { class: "call" }, h("div", { class: "name" }, name), blocks);
  }

  function messageView(message, number, turn, turnNumber, observations, incidents) {
    const observation = observations.get(message.tool_call_id);
    const failed = observation && (observation.error || (observation.exit_code ?? 0) !== 0);
    const state = message.role === "tool" && observation ? (failed ? " bad" : " good") : "";
    const header = h("header", {}, h("b", {}, message.role === "tool" ? `${observation ? observation.tool : message.name || "tool"} returned` : message.role));
    if (turn) {
      const usage = turn.usage;
      header.append(h("span", {}, `turn ${turnNumber + 1}`));
      if (usage.prompt_tokens + usage.completion_tokens) {
        header.append(h("span", {}, `${usage.prompt_tokens.toLocaleString("en")} tokens in, ${usage.completion_tokens.toLocaleString("en")} out`));
      }
      if (turn.model_seconds) header.append(h("span", {}, span(turn.model_seconds)));
      if (turn.finish_reason && !["stop", "tool_calls"].includes(turn.finish_reason)) header.append(h("span", { class: "tag limit" }, turn.finish_reason));
      incidents.filter((incident) => incident.turn === turnNumber).forEach((incident) =>
        header.append(h("span", { class: "tag incident", title: incident.message }, `${stateOf(incident)}: ${incident.rule}`)));
    }
    if (observation) {
      if (observation.exit_code !== null) header.append(h("span", { class: `tag ${failed ? "failed" : "passed"}` }, `exit ${observation.exit_code}`));
      else if (observation.error) header.append(h("span", { class: "tag failed" }, "refused"));
      header.append(h("span", {}, span(observation.seconds)));
    }
    const text = contentOf(message);
    const reasoning = message.reasoning_content || message.reasoning;
    const body = [];
    if (reasoning) body.push(h("div", { class: "thought prose" }, String(reasoning)));
    if (text && message.role === "assistant") body.push(h("div", { class: "prose" }, text));
    else if (text.startsWith("diff --git") && text.length < 6000) body.push(diff(text));
    else if (text) body.push(...folded(text, message.role === "tool"));
    body.push(...(message.tool_calls || []).map(callView));
    if (!body.length) body.push(h("span", { class: "muted" }, "empty"));
    return h("article", { class: `msg ${message.role}${state}`, id: `m${number}` }, header, body);
  }

  const stateOf = (incident) => (incident.blocked ? "blocked" : incident.confirmed ? "hacked" : "flagged");

  // What an incident points at: a span counts code points of the turn's text or of its call's arguments.
  function pointed(trajectory, incident) {
    const turn = trajectory.turns[incident.turn];
    const message = turn && incident.span ? trajectory.messages[turn.start] : null;
    if (!message) return "";
    const call = incident.call_id && (message.tool_calls || []).find((candidate) => candidate.id === incident.call_id);
    const given = call ? call.function.arguments : contentOf(message);
    return Array.from(typeof given === "string" ? given : JSON.stringify(given)).slice(...incident.span).join("");
  }

  function incidentView(trajectory, incident) {
    const turn = trajectory.turns[incident.turn];
    const show = () => { const place = turn && byId(`m${turn.start}`); if (place) place.scrollIntoView(); };
    const quoted = pointed(trajectory, incident);
    return h("p", {}, h("span", { class: "tag incident" }, stateOf(incident)), ` ${incident.rule}: ${incident.message} `,
      h("small", {}, [incident.layer, incident.penalty ? `penalty ${incident.penalty}` : ""].filter(Boolean).join(", ")),
      turn ? h("button", { onclick: show }, `turn ${incident.turn + 1}`) : "", quoted ? h("pre", {}, quoted) : "");
  }

  function conversation(trajectory) {
    const turns = new Map(trajectory.turns.map((turn, number) => [turn.start, [turn, number]]));
    const observations = new Map(trajectory.turns.flatMap((turn) => turn.observations || []).map((o) => [o.call_id, o]));
    const views = trajectory.messages.map((message, number) =>
      messageView(message, number, ...(turns.get(number) || [null, 0]), observations, trajectory.incidents));
    return h("div", { id: "conversation" }, views.length ? views : h("p", { class: "muted" }, "This agent holds no conversation."));
  }

  function strip(trajectory) {
    const total = trajectory.turns.reduce((sum, turn) => sum + turn.model_seconds + turn.tool_seconds, 0);
    if (!total) return null;
    return h("div", { class: "strip" }, trajectory.turns.map((turn, number) => {
      const seconds = turn.model_seconds + turn.tool_seconds;
      return h("a", { href: "#", style: `flex:${Math.max(seconds / total, .004)}`, "aria-label": `turn ${number + 1}`,
        title: `turn ${number + 1}: model ${span(turn.model_seconds)}, tools ${span(turn.tool_seconds)}`,
        onclick: (event) => { event.preventDefault(); jump(turn.start); } },
      h("i", { class: "m", style: `flex:${turn.model_seconds}` }), h("i", { class: "t", style: `flex:${turn.tool_seconds}` }));
    }));
  }

  function jump(number) {
    const target = byId(`m${number}`);
    if (!target) return;
    target.scrollIntoView({ block: "start" });
    target.classList.remove("flash");
    void target.offsetWidth;
    target.classList.add("flash");
  }

  const testTable = (entries) => h("table", { class: "tests" }, entries.map(([name, outcome]) =>
    h("tr", {}, h("td", {}, h("span", { class: `tag ${outcome === "passed" ? "passed" : "failed"}` }, outcome)), h("td", {}, name))));

  function tests(title, outcomes) {
    const entries = Object.entries(outcomes);
    const bad = entries.filter(([, outcome]) => outcome !== "passed");
    const good = entries.filter(([, outcome]) => outcome === "passed");
    const head = h("h3", {}, `${title} `, h("small", {}, `${good.length} of ${entries.length} passed`));
    const few = good.length <= 12;
    return [head, bad.length ? testTable(bad) : "", few ? testTable(good)
      : h("details", {}, h("summary", {}, `${plural(good.length, "passed test")}`), testTable(good))];
  }

  function verdictView(verdict) {
    if (!verdict) return h("section", { id: "verdict" }, h("h3", {}, "Verdict"), h("p", { class: "muted" }, "The verify stage was not reached."));
    return h("section", { id: "verdict" }, verdict.reason ? h("p", { class: "note", style: "margin:0 0 10px" }, verdict.reason) : "",
      tests("FAIL_TO_PASS", verdict.fail_to_pass), h("div", { style: "height:14px" }), tests("PASS_TO_PASS", verdict.pass_to_pass));
  }

  function taskView(task, isOpen) {
    if (!task) return "";
    return h("section", { id: "task" }, h("details", { open: isOpen }, h("summary", {}, "Task"), h("div", { class: "prose" }, task.problem_statement)),
      h("details", {}, h("summary", {}, "Gold patch ", h("small", {}, "never shown to the agent")), diff(task.patch)));
  }

  const share = (outcomes) => {
    const values = Object.values(outcomes);
    return `${values.filter((outcome) => outcome === "passed").length} / ${values.length}`;
  };

  function drawerHead(row, trajectory) {
    const fact = (label, value) => h("span", {}, `${label} `, h("b", {}, value));
    const stages = Object.entries(trajectory.seconds).map(([stage, seconds]) => fact(stage, span(seconds)));
    const meta = [fact("agent", index.agents[row.agent]), trajectory.exit_status ? fact("ended", trajectory.exit_status.replaceAll("_", " ")) : "",
      row.turns ? fact("turns", String(row.turns)) : "", row.tokens ? fact("tokens", row.tokens.toLocaleString("en")) : "", ...stages,
      ...trajectory.rewards.map((reward) => fact(reward.name, String(Math.round(reward.score * 1000) / 1000)))];
    const { verdict } = trajectory;
    if (verdict) meta.push(fact("red tests now green", share(verdict.fail_to_pass)), fact("still green", share(verdict.pass_to_pass)));
    const bar = strip(trajectory);
    if (bar) meta.push(h("span", { class: "keys" }, "model"), h("span", { class: "keys t" }, "tools"));
    const step = (offset, label, title) => h("button", { title, "aria-label": title, onclick: () => go(row.number + offset) }, label);
    return h("div", { class: "head" },
      h("div", { class: "line" }, h("span", { class: `tag ${row.outcome}` }, wordOf(row)), h("h2", {}, row.id),
        step(-1, "←", "previous rollout (p)"), step(1, "→", "next rollout (n)"), h("button", { title: "close (Esc)", "aria-label": "close", onclick: close }, "✕")),
      h("div", { class: "meta" }, meta), bar || "",
      h("nav", {}, ["task", "conversation", "patch", "verdict"].map((name) =>
        h("button", { onclick: () => { const place = byId(name); if (place) place.scrollIntoView(); } }, name))));
  }

  async function open(row) {
    const drawer = byId("drawer");
    const trajectory = await load(row.blob);
    const taskBlob = taskBlobs.get(row.task);
    const task = taskBlob ? await load(taskBlob) : null;
    const { error, incidents } = trajectory;
    const body = h("div", { class: "body" },
      error ? h("section", { class: "alert bad" }, h("h3", {}, `The ${error.boundary} failed: ${error.type}`), h("pre", {}, ansi(error.message))) : "",
      incidents.length ? h("section", { class: "alert" }, h("h3", {}, plural(incidents.length, "incident")),
        incidents.map((incident) => incidentView(trajectory, incident))) : "",
      taskView(task, !trajectory.messages.length), conversation(trajectory),
      h("section", { id: "patch" }, h("h3", {}, "Patch ", h("small", {}, "what the agent left in the box")), diff(trajectory.patch)), verdictView(trajectory.verdict));
    drawer.replaceChildren(drawerHead(row, trajectory), body);
    drawer.hidden = byId("shade").hidden = false;
    document.body.classList.add("open");
    drawer.scrollTop = 0;
    drawer.focus();
  }

  function shut() {
    byId("drawer").hidden = byId("shade").hidden = true;
    byId("drawer").replaceChildren();
    document.body.classList.remove("open");
  }
  function close() { history.replaceState(null, "", location.pathname + location.search); shut(); }
  function go(number) {
    if (number >= 0 && number < index.rollouts.length) location.hash = `r=${encodeURIComponent(index.rollouts[number].id)}`;
  }
  function follow() {
    const wanted = location.hash.startsWith("#r=") ? decodeURIComponent(location.hash.slice(3)) : null;
    const row = index.rollouts.find((candidate) => candidate.id === wanted);
    if (row) open(row); else shut();
  }

  // ---- the list ---------------------------------------------------------------------------------
  let limit = PAGE;
  function chip(row) {
    const title = `${row.id}: ${wordOf(row)}${row.exit ? `, ${row.exit}` : ""}, ${plural(row.turns, "turn")}, ${span(row.seconds)}`
      + (row.incidents ? `, ${plural(row.incidents, "incident")}` : "") + (row.hacked ? ", hacked" : "");
    return h("button", { class: `chip ${row.outcome}${row.incidents ? " flagged" : ""}`, title, "aria-label": title, onclick: () => go(row.number) }, GLYPHS[row.outcome]);
  }

  function taskRow(task) {
    const rows = rolloutsOf.get(task.id);
    const size = task.difficulty;
    return h("tr", {}, h("th", { scope: "row" }, breakable(task.id)), h("td", {}, task.operators.join(", ") || task.source),
      h("td", { class: "n" }, size ? String(size.lines) : ""), h("td", { class: "n" }, size ? String(size.fail_to_pass) : ""),
      index.agents.map((_, column) => h("td", { class: "cells" }, rows.filter((row) => row.agent === column).map(chip))));
  }

  function list() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcome = byId("outcome").value;
    const found = index.tasks.filter((task) => {
      const text = [task.id, task.repo, task.source, ...task.operators].join(" ").toLowerCase();
      const rows = rolloutsOf.get(task.id);
      return words.every((word) => text.includes(word))
        && (!outcome || rows.some((row) => row.outcome === outcome || (outcome === "flagged" && row.incidents) || (outcome === "hacked" && row.hacked)));
    });
    byId("task-rows").replaceChildren(...found.slice(0, limit).map(taskRow));
    byId("shown").textContent = found.length === index.tasks.length ? plural(found.length, "task") : `${found.length} of ${plural(index.tasks.length, "task")}`;
    byId("more").hidden = found.length <= limit;
  }

  function start() {
    const outcomes = [...new Set(index.rollouts.map((row) => row.outcome))].sort();
    byId("task-head").append(h("tr", {}, h("th", {}, "task"), h("th", {}, "fault"), h("th", { class: "n" }, "lines"),
      h("th", { class: "n" }, "red tests"), index.agents.map((name) => h("th", {}, name))));
    byId("legend").append(...outcomes.map((name) => h("span", {}, h("i", { class: `chip ${name}` }, GLYPHS[name]), WORDS[name] || name)));
    if (index.rollouts.some((row) => row.incidents)) outcomes.push("flagged");
    if (index.rollouts.some((row) => row.hacked)) outcomes.push("hacked");
    byId("outcome").append(...outcomes.map((name) => h("option", { value: name }, WORDS[name] || name)));
    for (const id of ["filter", "outcome"]) byId(id).addEventListener("input", () => { limit = PAGE; list(); });
    byId("more").addEventListener("click", () => { limit += 5 * PAGE; list(); });
    byId("shade").addEventListener("click", close);
    document.addEventListener("keydown", (event) => {
      if (byId("drawer").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
      const current = index.rollouts.findIndex((row) => `#r=${encodeURIComponent(row.id)}` === location.hash);
      if (event.key === "Escape") close();
      else if (event.key === "n") go(current + 1);
      else if (event.key === "p") go(current - 1);
    });
    addEventListener("hashchange", follow);
    list();
    follow();
  }
  if (byId("filter")) start();
})();
