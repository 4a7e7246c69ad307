// Small comforts. Every page works without this file; nothing here decides anything.
"use strict";

(() => {
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, selector, handler) =>
    document.addEventListener(type, (event) => {
      const element = event.target instanceof Element ? event.target.closest(selector) : null;
      if (element) handler(element, event);
    });

  const announce = (text) => {
    const region = document.getElementById("announce");
    if (!region) return;
    region.textContent = "";
    requestAnimationFrame(() => { region.textContent = text; });
  };

  // --- copying ---
  const textOf = (id) => {
    const source = document.getElementById(id);
    if (!source) return "";
    const items = $$("li", source);
    return items.length ? items.map((item) => item.textContent.trim()).join("\n") : source.textContent.trim();
  };

  async function copy(button, text) {
    const word = button.querySelector("[data-copy-word]");
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      announce("could not copy; select the text instead");
      if (word) word.textContent = "Select it";
      return;
    }
    announce("copied");
    button.classList.add("copied");
    button.querySelector("use")?.setAttribute("href", button.querySelector("use").getAttribute("href").replace(/#.*/, "#check"));
    if (word) word.textContent = "Copied";
    clearTimeout(button.copyTimer);
    button.copyTimer = setTimeout(() => {
      button.classList.remove("copied");
      button.querySelector("use")?.setAttribute("href", button.querySelector("use").getAttribute("href").replace(/#.*/, "#copy"));
      if (word) word.textContent = "Copy";
    }, 2000);
  }

  on("click", "[data-copy]", (button) => copy(button, button.dataset.copy));
  on("click", "[data-copy-from]", (button) => copy(button, textOf(button.dataset.copyFrom)));
  on("click", "[data-print]", () => window.print());
  on("click", "[data-download]", (button) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([textOf(button.dataset.downloadFrom) + "\n"], { type: "text/plain" }));
    link.download = button.dataset.download;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // --- choosing a login changes the command that is shown and copied ---
  on("change", "[data-login]", (select) => {
    const row = select.closest("[data-connect]");
    const code = row?.querySelector(".command code");
    if (!code) return;
    code.textContent = code.textContent.replace(/^(ssh )\S+@/, (_, verb) => `${verb}${select.value}@`);
    const button = row.querySelector("[data-copy]");
    if (button) button.dataset.copy = code.textContent;
    const form = row.querySelector("[data-login-value]");
    if (form) form.value = select.value;
  });

  // --- theme ---
  const root = document.documentElement;
  const showTheme = () => {
    const chosen = root.dataset.theme || "system";
    for (const button of $$("[data-theme-choice]")) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen));
  };
  on("click", "[data-theme-choice]", (button) => {
    const choice = button.dataset.themeChoice;
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    try {
      if (choice === "system") localStorage.removeItem("postern-theme");
      else localStorage.setItem("postern-theme", choice);
    } catch {
      // storage is blocked: the choice lasts for this page
    }
    showTheme();
  });

  // --- forms ---
  on("click", "[data-reveal]", (button) => {
    const input = document.getElementById(button.dataset.reveal);
    if (!input) return;
    const show = input.type === "password";
    input.type = show ? "text" : "password";
    button.setAttribute("aria-pressed", String(show));
    const use = button.querySelector("use");
    use?.setAttribute("href", use.getAttribute("href").replace(/#.*/, show ? "#eye-off" : "#eye"));
    input.focus();
  });

  on("input", "[data-one-time-code]", (input) => {
    const digits = input.value.replace(/\D/g, "").slice(0, 6);
    if (input.value !== digits) input.value = digits;
    if (digits.length === 6 && "submit" in input.dataset && !input.dataset.sent) {
      input.dataset.sent = "yes";
      input.form?.requestSubmit();
    }
  });

  let typing;
  on("change", "form[data-autosubmit] :is(select, input[type=checkbox], input[type=date], input[type=radio])", (control) => control.form.requestSubmit());
  on("input", "form[data-autosubmit] input[type=search]", (input) => {
    clearTimeout(typing);
    if (input.form.hasAttribute("hx-get")) typing = setTimeout(() => input.form.requestSubmit(), 300);
  });

  // a URL that is sent on or bookmarked carries only the filters that are set
  document.addEventListener("formdata", (event) => {
    if (!(event.target instanceof HTMLFormElement) || event.target.method !== "get") return;
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") return;
    for (const [name, value] of Object.entries(event.detail.parameters)) if (value === "") event.detail.formData.delete(name);
  });

  on("click", "[data-dismiss]", (button) => button.closest(button.dataset.dismiss)?.remove());

  // a button that destroys something wakes up after some seconds
  const arm = (button) => {
    let left = Number(button.dataset.arm);
    const word = button.textContent;
    button.removeAttribute("data-arm");
    if (!(left > 0)) return;
    button.disabled = true;
    const tick = () => {
      button.textContent = left > 0 ? `${word} (${left})` : word;
      button.disabled = left > 0;
      if (left-- > 0) setTimeout(tick, 1000);
    };
    tick();
  };

  // --- times: the words of broker/console/templatetags/postern.py, kept true while the page is open ---
  const units = [[31536000, "y"], [2592000, "mo"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const inWords = (at) => {
    const ahead = (at - Date.now()) / 1000;
    const seconds = Math.floor(Math.abs(ahead));
    if (seconds < 10) return "just now";
    const [size, unit] = units.find(([size]) => seconds >= size);
    const words = `${Math.floor(seconds / size)} ${unit}`;
    return ahead > 0 ? `in ${words}` : `${words} ago`;
  };
  const tellTime = () => {
    for (const time of $$("time[data-relative]")) {
      const words = inWords(Date.parse(time.dateTime));
      if (time.textContent !== words) time.textContent = words;
    }
  };
  setInterval(tellTime, 15000);

  // --- keyboard and menus ---
  const visible = (element) => element.getClientRects().length > 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      let box = $$("[data-search]").find(visible);
      if (!box) {
        const menu = document.querySelector(".topbar-menu");
        if (menu && visible(menu)) menu.open = true;
        box = $$("[data-search]").find(visible);
      }
      if (box) { event.preventDefault(); box.focus(); box.select(); }
    }
    if (event.key === "Escape") {
      for (const menu of $$("details[data-closes][open]")) {
        const inside = menu.contains(document.activeElement);
        menu.open = false;
        if (inside) menu.querySelector("summary").focus();
      }
    }
  });
  document.addEventListener("click", (event) => {
    for (const menu of $$("details[data-closes][open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  const ready = (scope) => {
    for (const button of $$("[data-arm]", scope)) arm(button);
    showTheme();
  };
  ready(document);
  document.querySelector("[data-focus]")?.focus();
  document.addEventListener("htmx:afterSwap", (event) => { ready(event.target); tellTime(); });
})();
