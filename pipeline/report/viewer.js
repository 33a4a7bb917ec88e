// Moves through the slices of a case; part of the page, so it may not fetch anything.
for (const figure of document.querySelectorAll(".case[data-columns]")) {
  const slices = JSON.parse(figure.querySelector("script").textContent);
  const { columns, tileWidth, tileHeight } = figure.dataset;
  const slider = figure.querySelector("input"), view = figure.querySelector("select");
  const output = figure.querySelector("output"), gray = figure.querySelector(".viewer use");
  const regions = figure.querySelectorAll(".viewer .regions path");
  const show = (index) => {
    gray.setAttribute("x", -(index % columns) * tileWidth);
    gray.setAttribute("y", -Math.floor(index / columns) * tileHeight);
    regions.forEach((path, i) => path.setAttribute("d", slices[index].paths[i]));
    output.textContent = `z ${slices[index].z}`;
    slider.value = index;
  };
  slider.addEventListener("input", () => show(slider.valueAsNumber));
  view.addEventListener("change", () => figure.dataset.view = view.value);
  for (const button of figure.querySelectorAll("button")) {
    button.addEventListener("click", () => show(Number(button.dataset.index)));
  }
  figure.querySelector(".controls").hidden = false;
  show(slider.valueAsNumber);
}
// Printed tables are unfolded, and folded again afterwards.
const folded = new Set();
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    folded.add(details);
    details.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
  folded.clear();
});
