/* Elements of the page. Names and values of the data become text nodes, never HTML. */

const SVG = "http://www.w3.org/2000/svg";

export function html(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

export function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => html("option", { value }, text)));
}

/* A table that a reader opens below a chart; it is made when it is open, and follows the chart. */
export function tableBehind(host, caption) {
  let content = () => ({ head: [], rows: [] });
  const body = html("div", { class: "scroll", tabindex: "0", role: "region" });
  body.setAttribute("aria-label", caption);
  const details = html("details", {}, html("summary", {}, `Table: ${caption}`), body);
  const draw = () => {
    if (!details.open) return;
    const { head, rows } = content();
    const cells = ([first, ...rest]) => [
      html("th", { scope: "row" }, first),
      ...rest.map((cell) => html("td", {}, cell)),
    ];
    body.replaceChildren(
      html(
        "table",
        {},
        html("thead", {}, html("tr", {}, ...head.map((cell) => html("th", { scope: "col" }, cell)))),
        html("tbody", {}, ...rows.map((row) => html("tr", {}, ...cells(row)))),
      ),
    );
  };
  details.addEventListener("toggle", draw);
  host.append(details);
  return (next) => {
    content = next;
    draw();
  };
}
