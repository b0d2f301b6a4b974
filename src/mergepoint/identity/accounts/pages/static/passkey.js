// Passkeys: logging in (by button or by the browser's own list), proving again, adding one.
//
// Place:  page -> [passkey.js] -> navigator.credentials, the accounts app
// Rule:   it decides nothing; what the authenticator says goes to the server as it is.

const buttons = document.querySelectorAll("[data-passkey]");
const said = document.querySelector("[data-passkey-said]");
const coder = {
  bytes: (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0)),
  text: (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""),
};
let waiting = null; // the conditional request, which must end before another one starts

async function post(address, body) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body ?? {}),
    redirect: "error",
  });
  return { ok: answer.ok, ...(await answer.json()) };
}

function decoded(options) {
  const withBytes = (entry) => ({ ...entry, id: coder.bytes(entry.id) });
  const made = { ...options, challenge: coder.bytes(options.challenge) };
  if (options.user) made.user = withBytes(options.user);
  for (const list of ["allowCredentials", "excludeCredentials"])
    if (options[list]) made[list] = options[list].map(withBytes);
  return made;
}

function encoded(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (credential.response[name]) response[name] = coder.text(credential.response[name]);
  if (credential.response.getTransports) response.transports = credential.response.getTransports();
  return {
    id: credential.id,
    rawId: coder.text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  };
}

function tell(message) {
  if (!said) return;
  said.hidden = !message;
  said.textContent = message ?? "";
}

// The server says what to ask for; the authenticator answers; the server judges.
async function ceremony(button, extra) {
  const asked = await post(button.dataset.options);
  if (!asked.ok) return { ...asked, unasked: true };
  const request = { publicKey: decoded(asked.options), ...extra };
  const credential = button.dataset.passkey === "add"
    ? await navigator.credentials.create(request)
    : await navigator.credentials.get(request);
  return post(button.dataset.finish, { attempt: asked.attempt, credential: encoded(credential), next: button.dataset.next, link: button.dataset.link });
}

function finish(button, result) {
  if (result.ok && button.dataset.form) document.getElementById(button.dataset.form).submit();
  else if (result.ok) location.assign(result.next);
  else if (result.prove) location.assign(button.dataset.prove);
  else tell(result.message ?? said.dataset.failed);
}

async function pressed(button) {
  waiting?.abort();
  tell(null);
  button.setAttribute("aria-busy", "true");
  try {
    finish(button, await ceremony(button, {}));
  } catch {
    tell(said.dataset.refused); // closed by the person, timed out, or no passkey for this site
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// The browser lists passkeys in the user name's own list, and nothing is shown to those who have none.
async function offerInField(button) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  waiting = new AbortController();
  try {
    const result = await ceremony(button, { mediation: "conditional", signal: waiting.signal });
    if (!result.unasked) finish(button, result);
  } catch (error) {
    if (error.name !== "AbortError" && error.name !== "NotAllowedError") tell(said.dataset.refused);
  }
}

if (window.PublicKeyCredential) {
  for (const hint of document.querySelectorAll("[data-with-passkeys]")) hint.hidden = false;
  for (const button of buttons) {
    button.hidden = false;
    button.addEventListener("click", () => pressed(button));
    if (button.dataset.passkey === "login") offerInField(button);
  }
}
