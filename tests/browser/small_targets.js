// Things to tap that are smaller than `min` pixels; links inside a line of text are exempt.
(min) => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
  .filter((e) => {
    const box = e.getBoundingClientRect();
    const inline = getComputedStyle(e).display === "inline" || e.closest("label, td.n");
    return box.width > 2 && !inline && (box.height < min || box.width < min);
  })
  .map((e) => e.outerHTML.slice(0, 80))
