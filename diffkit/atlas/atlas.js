"use strict";
const rows = Array.from(document.querySelectorAll(".row"));
const search = document.getElementById("search");
const module_ = document.getElementById("module");
const kind = document.getElementById("kind");
const shown = document.getElementById("shown");

function matches(row) {
  const text = search.value.trim().toLowerCase();
  return (!text || row.dataset.name.includes(text))
    && (!module_.value || row.dataset.module === module_.value)
    && (!kind.value || row.dataset.tags.split(" ").includes(kind.value));
}

function filter() {
  let count = 0;
  for (const row of rows) {
    row.hidden = !matches(row);
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${rows.length} derivatives`;
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.classList.contains("row")) {
    search.value = module_.value = kind.value = "";
    filter();
    target.open = true;
    target.scrollIntoView({ block: "center" });
  }
}

for (const control of [search, module_, kind]) control.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  }
});
addEventListener("hashchange", open);
filter();
open();
