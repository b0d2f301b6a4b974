// What the accounts pages do beyond plain HTML. Everything works without this file; it only makes some of it easier.

// Password fields can be read by their owner, and turn back before they are sent.
for (const button of document.querySelectorAll("[data-reveal]")) {
  const input = document.getElementById(button.dataset.reveal);
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  };
  button.hidden = false;
  button.addEventListener("click", () => { show(input.type === "password"); input.focus(); });
  input.form.addEventListener("submit", () => show(false));
}

// What is shown once can be copied with one touch. Without a clipboard the text stays there to be selected.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const lines = [...document.querySelectorAll(`#${button.dataset.copy} li`)].map((line) => line.textContent);
    await navigator.clipboard.writeText(lines.join("\n") || document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
    button.setAttribute("role", "status");
  });
}

// Times are written in UTC; here they become the reader's own, as their country writes the page's language.
const lang = document.documentElement.lang;
const country = navigator.languages.find((wish) => wish.startsWith(lang)) ?? lang;
const format = new Intl.DateTimeFormat(country, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.valueOf())) continue;
  time.title = time.textContent;
  time.textContent = format.format(at);
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// What went wrong is read out first.
document.getElementById("summary")?.focus();
