// What a reader without eyes would stumble over: order of headings, landmarks, names.
() => {
  const wrong = [];
  let last = 0;
  for (const h of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
    const level = Number(h.tagName[1]);
    if (level > last + 1) wrong.push(`${h.tagName} "${h.textContent.trim()}" follows level ${last}`);
    last = level;
  }
  for (const name of ["header", "main", "footer", "nav"])
    if (!document.querySelector(name)) wrong.push(`no ${name}`);
  for (const e of document.querySelectorAll("a, button")) {
    const text = e.textContent.trim() || e.getAttribute("aria-label");
    if (!text) wrong.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  }
  if (!document.documentElement.lang) wrong.push("no language");
  if (!document.title.includes("Orchard Forge")) wrong.push(`title ${document.title}`);
  return wrong;
}
