"""The look of a report's page: colours for light and dark screens, and tables that sort."""

STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --paper: #fff; --soft: #59626b; --line: #d7dce1;
        --band: #f4f6f8; --mark: #fbe3d6; --edge: #b04a12; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --paper: #14181c; --soft: #a3adb7; --line: #363e46; --band: #1c2227;
          --mark: #46260f; --edge: #ef8d55; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
       color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: 1.6rem 0 .2rem; }
p.lead { color: var(--soft); } p.verdict { font-size: 1.1rem; margin: .4rem 0; }
p.verdict strong { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: 2px solid var(--edge); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th { background: var(--band); font-weight: 600; }
tbody th { background: var(--paper); font-weight: 500; }
th.words, td.words { text-align: left; } td.words { white-space: normal; min-width: 12rem; }
th:first-child { position: sticky; left: 0; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--edge); }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
.badge { font-size: .8rem; font-weight: 500; border: 1px solid var(--line); border-radius: 1rem;
         padding: .05rem .6rem; margin-left: .5rem; white-space: nowrap; }
.badge.moved { background: var(--mark); border-color: var(--edge); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
dd small { color: var(--soft); display: block; }
figure { margin: 1.2rem 0; } figcaption { color: var(--soft); margin-bottom: .4rem; }
svg { max-width: 100%; height: auto; }
@media (max-width: 40rem) {
  body { margin: .8rem auto; padding: 0 .7rem; font-size: 14px; } h1 { font-size: 1.3rem; }
  h2 { margin-top: 1.2rem; } p.verdict { font-size: 1rem; line-height: 1.4; }
  th, td { padding: .2rem .4rem; font-size: 13px; }
  dl { display: block; } dd { margin-bottom: .5rem; }
}
"""

SORT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, k) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    const value = row => {
      const text = row.cells[k].textContent.replace("[", ""), number = parseFloat(text);
      return isNaN(number) ? text : number;
    };
    button.onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compared = (a, b) => typeof a === typeof b
        ? (a < b ? -1 : a > b) * (up ? 1 : -1) : (typeof a === "number" ? -1 : 1);
      body.append(...[...body.rows].sort((a, b) => compared(value(a), value(b))));
    };
  });
}
"""
"""Numbers stand before words whichever way a column is sorted; without scripts nothing is lost."""
