"use strict";
// A table is sorted by the column whose header is pressed: up, down, as it was. Cells
// with a number go by it, others by their text; empty ones stay below.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function compare(a, b, sign) {
  const [x, y] = [a, b].map((cell) => cell.textContent);
  if (!x || !y) return !x - !y;
  const [m, n] = [a, b].map((cell) => Number(cell.dataset.number));
  return sign * (m === m && n === n ? m - n
    : x.localeCompare(y, "en", { numeric: true }));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
    const way = NEXT[head.getAttribute("aria-sort")];
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", way);
    const sign = way === "ascending" ? 1 : -1;
    body.append(...(way === "none" ? rows
      : rows.toSorted((a, b) => compare(a.cells[i], b.cells[i], sign))));
  }));
}

// The address of a run opens what is folded away.
function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  const folded = target?.closest("details");
  if (folded) {
    folded.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", unfold);
unfold();

// A browser that cannot play a clip shows the same as a picture.
for (const video of document.querySelectorAll("video[data-gif]")) {
  video.lastElementChild.addEventListener("error", () => {
    const image = new Image();
    image.alt = video.getAttribute("aria-label");
    image.src = video.dataset.gif;
    video.replaceWith(image);
  });
}
