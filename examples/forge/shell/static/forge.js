// What the pages do beyond plain HTML. Everything works without this file; it only makes some of it quicker.

const root = document.documentElement;
const stored = read("theme");
if (stored === "light" || stored === "dark") root.dataset.theme = stored;

// Private windows may refuse storage; then the choice lasts for one page.
function read(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function write(key, value) {
  try { localStorage.setItem(key, value); } catch { /* see read */ }
}

function dark() {
  return (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

function themeButton() {
  const button = document.getElementById("theme");
  if (!button) return;
  const show = () => button.setAttribute("aria-pressed", String(dark()));
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    write("theme", root.dataset.theme);
    show();
  });
  show();
}

// "/" goes to the search box, as long as nobody is typing.
function slashToSearch() {
  const box = document.getElementById("site-search");
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing || !box) return;
    event.preventDefault();
    box.focus();
    box.select();
  });
}

// The account menu closes like every menu: by Escape, or when something else gets the attention.
function menuCloses() {
  const menu = document.getElementById("me");
  if (!menu) return;
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  const elsewhere = (event) => { if (!menu.contains(event.target)) menu.open = false; };
  document.addEventListener("click", elsewhere);
  document.addEventListener("focusin", elsewhere);
}

// Filters apply as soon as a choice is made.
function filtersApplyThemselves() {
  for (const select of document.querySelectorAll("form[data-auto] select")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
}

// A form with unsaved words asks before the page goes away.
function keepWhatIsTyped() {
  for (const form of document.querySelectorAll("form[data-guard]")) {
    let changed = false;
    form.addEventListener("input", () => { changed = true; });
    form.addEventListener("submit", () => { changed = false; });
    addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
  }
}

// Times are written in UTC; the reader's own zone is put beside them.
function localTimes() {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.title = format.format(at);
  }
}

// How many notifications wait stands on one's own name; a site without tickets has none to count.
async function countNews() {
  const badge = document.getElementById("news");
  if (!badge) return;
  try {
    const answer = await fetch(badge.dataset.from, { headers: { Accept: "application/json" } });
    const { unread } = answer.ok ? await answer.json() : { unread: 0 };
    badge.hidden = !unread;
    badge.textContent = unread > 99 ? "99+" : String(unread);
    badge.title = `${unread} notifications to read`;
  } catch { /* the frame goes on without it */ }
}

// Something that takes long tells how far it is; when it has ended, the page tells the rest.
const POLL_MS = 700;

function watchProgress() {
  for (const watched of document.querySelectorAll("[data-poll]")) {
    for (const link of watched.querySelectorAll("[data-reload]")) link.hidden = true;
    const bar = watched.querySelector("progress");
    const words = watched.querySelector("[data-words]");
    const look = async () => {
      try {
        const answer = await fetch(watched.dataset.poll, { headers: { Accept: "application/json" } });
        const told = await answer.json();
        if (told.ended) { location.reload(); return; }
        if (words.textContent !== told.words) words.textContent = told.words;
        if (told.total) { bar.max = told.total; bar.value = told.done; }
      } catch { /* the site may be away for a moment; the next look will tell */ }
      setTimeout(look, POLL_MS);
    };
    setTimeout(look, POLL_MS);
  }
}

function start() {
  watchProgress();
  countNews();
  themeButton();
  slashToSearch();
  menuCloses();
  filtersApplyThemselves();
  keepWhatIsTyped();
  localTimes();
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
