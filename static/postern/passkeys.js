// Passkeys: asks the browser for one, puts what it answers into a form, sends the form. The server decides everything.
"use strict";

(() => {
  const forms = [...document.querySelectorAll("form[data-passkey]")];
  if (!forms.length) return;

  if (!window.PublicKeyCredential || !window.isSecureContext) {
    for (const form of forms) form.hidden = true;
    for (const note of document.querySelectorAll("[data-no-passkeys]")) note.hidden = false;
    return;
  }

  const RENEW = 230_000; // a challenge lives for five minutes
  let waiting = null; // the AbortController of what the browser is asking for now

  // --- bytes travel as base64url ---
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const listed = (credentials = []) => credentials.map((one) => ({ ...one, id: bytes(one.id) }));

  const asked = (options, ceremony) => {
    const made = { ...options, challenge: bytes(options.challenge) };
    if (ceremony === "create") {
      made.user = { ...options.user, id: bytes(options.user.id) };
      made.excludeCredentials = listed(options.excludeCredentials);
    } else {
      made.allowCredentials = listed(options.allowCredentials);
    }
    return made;
  };

  const answered = (credential) => {
    const from = credential.response;
    const response = { clientDataJSON: text(from.clientDataJSON) };
    if (from.attestationObject) {
      response.attestationObject = text(from.attestationObject);
      response.transports = from.getTransports ? from.getTransports() : [];
    } else {
      response.authenticatorData = text(from.authenticatorData);
      response.signature = text(from.signature);
      if (from.userHandle) response.userHandle = text(from.userHandle);
    }
    return JSON.stringify({
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment || undefined,
      clientExtensionResults: credential.getClientExtensionResults(),
      response,
    });
  };

  // --- words ---
  class Told extends Error {}

  const words = (error, ceremony) => {
    if (error instanceof Told) return error.message;
    switch (error.name) {
      case "NotAllowedError":
        return ceremony === "create"
          ? "No passkey was made: it was cancelled or took too long. Try again, or use another way."
          : "No passkey was used: it was cancelled, took too long, or there is none for this site here. Try again, or use another way.";
      case "InvalidStateError":
        return "This device or key has a passkey of yours already. Use another one.";
      case "ConstraintError":
      case "NotSupportedError":
        return "This key cannot ask for a PIN, fingerprint or face, which is needed here. Use another one.";
      case "SecurityError":
        return "Passkeys do not work at this address. Open the page at its proper name.";
      case "TypeError":
        return "The server did not answer. Check the connection, then try again.";
      default:
        return "The passkey did not work. Try again, or use another way.";
    }
  };

  const say = (form, message) => {
    const place = form.querySelector("[data-said]");
    place.replaceChildren();
    if (!message) return;
    const paragraph = document.createElement("p");
    paragraph.textContent = message;
    place.append(paragraph);
  };

  const busy = (form, on) => {
    const button = form.querySelector("button[type=submit]");
    const label = button.querySelector("[data-label]");
    label.dataset.word ??= label.textContent;
    label.textContent = on ? "Waiting for your passkey…" : label.dataset.word;
    button.setAttribute("aria-busy", String(on));
    button.disabled = on;
    const region = document.getElementById("announce");
    if (region && on) region.textContent = label.textContent;
    if (!on) button.focus();
  };

  // --- the ceremony ---
  const options = async (form, signal) => {
    const response = await fetch(form.dataset.options, {
      method: "POST",
      headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value, Accept: "application/json" },
      signal,
    });
    if (response.redirected) {
      location.reload(); // another step is due: the server leads there
      throw new Told("One moment: the page is loading anew.");
    }
    if (response.ok) return response.json();
    const problem = (response.headers.get("Content-Type") || "").includes("json") ? await response.json() : {};
    throw new Told(problem.detail ? `That did not work: ${problem.detail}.` : "This page is too old. Reload it, then try again.");
  };

  const run = async (form, how) => {
    waiting?.abort();
    const controller = new AbortController();
    waiting = controller;
    const ceremony = form.dataset.passkey;
    const publicKey = asked(await options(form, controller.signal), ceremony);
    const credential = await navigator.credentials[ceremony]({ publicKey, signal: controller.signal, ...how });
    form.elements.credential.value = answered(credential);
    form.submit();
  };

  for (const form of forms) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      say(form, "");
      busy(form, true);
      try {
        await run(form, {});
      } catch (error) {
        busy(form, false);
        say(form, words(error, form.dataset.passkey));
        offer();
      }
    });
  }

  // --- passkeys among the browser's suggestions for the name ---
  const suggesting = forms.find((form) => "autofill" in form.dataset);
  let timer;
  const offer = async () => {
    clearTimeout(timer);
    if (!suggesting || document.hidden) return;
    if (!(await window.PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    timer = setTimeout(offer, RENEW);
    try {
      await run(suggesting, { mediation: "conditional" });
    } catch (error) {
      // nobody asked for anything: the button is there, and says what is wrong when it is pressed
      if (error.name !== "AbortError") clearTimeout(timer);
    }
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) offer(); });
  // the page may come back as it was left: with a busy button and an answer that was used up
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  offer();
})();
