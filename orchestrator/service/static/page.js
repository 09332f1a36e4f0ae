"use strict";
// What the pages do beside what htmx does: buttons and forms that ask the API, and what went wrong in words.
(() => {
  let fading = null;

  function say(text, wrong) {
    const said = document.getElementById("said");
    const line = document.createElement("p");
    line.textContent = text;
    if (wrong) line.className = "wrong";
    said.replaceChildren(line);
    // What went wrong stays; what was done is seen on the page soon.
    clearTimeout(fading);
    if (!wrong) fading = setTimeout(() => line.remove(), 15000);
  }

  async function ask(method, path, body) {
    const answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const document_ = await answer.json().catch(() => null);
    if (!answer.ok) throw new Error(document_ && document_.error ? document_.error.message : `the service answered ${answer.status}`);
    return document_;
  }

  async function act(element, body) {
    const [method, path] = element.dataset.api.split(" ");
    if (element.dataset.sure && !confirm(element.dataset.sure)) return;
    try {
      const { campaign } = await ask(method, path, body);
      say(campaign.request ? `${campaign.lease_owner}, which runs it, was asked to ${campaign.request} it` : `campaign ${campaign.id} is ${campaign.state}` + (body ? `, priority ${campaign.priority}` : ""));
    } catch (error) {
      say(error.message, true);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-api]");
    if (button) act(button);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.dataset.api) return;
    event.preventDefault();
    const body = {};
    for (const field of event.target.elements) {
      if (field.name) body[field.name] = "number" in field.dataset ? Number(field.value) : field.value;
    }
    act(event.target, body);
  });
  document.addEventListener("change", (event) => {
    if ("submits" in event.target.dataset) event.target.form.requestSubmit();
  });
  document.addEventListener("htmx:responseError", (event) => {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const text = page.querySelector("main p");
    say(text ? text.textContent : `the service answered ${event.detail.xhr.status}`, true);
  });
  // What is open stays open when the part around it is replaced.
  let open = [];
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    open = [...event.target.querySelectorAll("details[open] > summary")].map((one) => one.textContent);
    const at = document.activeElement;
    if (event.target.contains(at) && getSelection().toString()) event.preventDefault();
  });
  document.addEventListener("htmx:sseMessage", (event) => {
    const steer = document.querySelector(".steer");
    if (steer) steer.hidden = Boolean(document.querySelector("[sse-swap=status] :is(.done, .cancelled)"));
    for (const summary of event.target.querySelectorAll("details > summary")) {
      if (open.includes(summary.textContent)) summary.parentElement.open = true;
    }
  });
  window.tunefleet = { ask, say };
})();
