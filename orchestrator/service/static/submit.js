"use strict";
// The form that submits: the file is uploaded when it was chosen, what it lacks is asked, and the rest is sent with it.
(() => {
  let uploaded = null;

  function upload(file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/api/v1/models?name=${encodeURIComponent(file.name)}`);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => { progress.value = event.loaded / (event.total || 1); });
      request.addEventListener("load", () => {
        if (request.status === 201) resolve(request.response);
        else reject(new Error(request.response && request.response.error ? request.response.error.message : `the service answered ${request.status}`));
      });
      request.addEventListener("error", () => reject(new Error("the upload broke off: try it again")));
      request.send(file);
    });
  }

  function askShapes(inputs) {
    const home = document.getElementById("shapes");
    home.replaceChildren();
    for (const input of inputs) {
      if (!input.shape.includes(null)) continue;
      const label = document.createElement("label");
      label.textContent = `Shape of ${input.name}, which is ${input.shape.map((one) => one ?? "?").join(",")} in the file`;
      const field = document.createElement("input");
      field.name = "shape";
      field.dataset.input = input.name;
      field.required = true;
      field.pattern = "[0-9]+(,[0-9]+)*";
      field.value = input.shape.map((one) => one ?? 1).join(",");
      label.append(field);
      home.append(label);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const form = document.getElementById("submit");
    const progress = document.getElementById("sent");
    const button = form.querySelector("form > button");
    form.elements.file.addEventListener("change", async () => {
      uploaded = null;
      const file = form.elements.file.files[0];
      if (!file) return;
      progress.hidden = false;
      progress.value = 0;
      button.disabled = true;
      try {
        uploaded = await upload(file, progress);
        askShapes(uploaded.inputs);
        window.tunefleet.say(`${uploaded.name} is uploaded${uploaded.known ? ", and was known" : ""}.`);
      } catch (error) {
        window.tunefleet.say(error.message, true);
        form.elements.file.value = "";
      }
      progress.hidden = true;
      button.disabled = false;
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!uploaded) { window.tunefleet.say("Choose the model's file first.", true); return; }
      const shapes = {};
      for (const field of form.querySelectorAll("[data-input]")) shapes[field.dataset.input] = field.value.split(",").map(Number);
      const text = (name) => form.elements[name].value.trim() || undefined;
      const number = (name) => (form.elements[name].value ? Number(form.elements[name].value) : undefined);
      const minutes = number("minutes");
      button.disabled = true;
      try {
        const { campaign } = await window.tunefleet.ask("POST", "/api/v1/campaigns", {
          models: [{ sha256: uploaded.sha256, shapes }],
          name: text("name"), tasks: text("tasks"), engine: text("engine"),
          targets: text("target") ? [text("target")] : undefined,
          revalidate: number("revalidate"), verify_candidates: form.elements.verify.checked,
          priority: number("priority"), trials: number("trials"), time_s: minutes === undefined ? undefined : minutes * 60,
        });
        location.assign(`/campaigns/${campaign.id}`);
      } catch (error) {
        window.tunefleet.say(error.message, true);
        button.disabled = false;
      }
    });
  });
})();
