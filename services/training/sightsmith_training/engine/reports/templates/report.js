"use strict";

const filters = document.querySelector(".filters");
const images = [...document.querySelectorAll(".gallery figure")];

function showMatching() {
  const { label, outcome } = Object.fromEntries(new FormData(filters));
  const wanted = (tag) => {
    const [ofLabel, ofOutcome] = tag.split(":");
    return (!label || ofLabel === label) && (!outcome || ofOutcome === outcome);
  };
  for (const image of images) {
    image.hidden = Boolean(label || outcome) && !image.dataset.tags.split(" ").some(wanted);
  }
  const shown = images.filter((image) => !image.hidden).length;
  filters.querySelector("output").textContent = `${shown} of ${images.length}`;
}

function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent;
  const number = Number.parseFloat(text);
  return column === 0 ? text : Number.isNaN(number) ? -1 : number;
}

function sortBy(header) {
  const body = header.closest("table").tBodies[0];
  const column = header.cellIndex;
  const sign = header.getAttribute("aria-sort") === "descending" ? 1 : -1;
  const compare = (a, b) => (column === 0 ? a.localeCompare(b) : a - b);
  body.append(...[...body.rows].sort((a, b) => sign * compare(value(a, column), value(b, column))));
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
}

for (const header of document.querySelectorAll(".sortable thead th")) {
  const button = document.createElement("button");
  button.textContent = header.textContent;
  button.addEventListener("click", () => sortBy(header));
  header.replaceChildren(button);
}
filters.hidden = false;
filters.addEventListener("change", showMatching);
showMatching();
